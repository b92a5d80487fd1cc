// Runs wrk (Debian's package) against one URL and reads its figures: a load generator in C leaves the cores to the subject.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface LoadTarget {
  readonly name: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A Lua file that makes the requests, for those that differ from each other. */
  readonly script?: string;
}

export interface LoadFigures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Throws when a request failed: a figure with errors in it measures nothing. */
export async function load(target: LoadTarget, connections: number, seconds: number): Promise<LoadFigures> {
  const headers = Object.entries(target.headers ?? {}).flatMap(([name, value]) => [
    '-H',
    `${name}: ${value}`,
  ]);
  const script = target.script === undefined ? [] : ['-s', target.script];
  const { stdout } = await promisify(execFile)(
    'wrk',
    [
      '-t1',
      `-c${connections}`,
      `-d${seconds}s`,
      '--timeout',
      '30s',
      '--latency',
      ...script,
      ...headers,
      target.url,
    ],
    { timeout: (seconds + 60) * 1_000 },
  );
  const failed = /Non-2xx or 3xx responses: .*|Socket errors: .*/.exec(stdout)?.[0];
  if (failed !== undefined) throw new Error(`load ${target.name} at ${target.url}: ${failed}`);
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Ms: toMs(/ 50%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    p99Ms: toMs(/ 99%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
  };
}

function toMs(match: RegExpExecArray | null): number {
  const factor = { us: 0.001, ms: 1, s: 1_000 }[match?.[2] ?? ''];
  if (factor === undefined) throw new Error('read the output of wrk: no latency');
  return Number(match?.[1]) * factor;
}
