// The events of an engine as it keeps and tells them: a history of 256, what the client asks for of it, and then what
// happens. Serves any server's requests, so that a test may put it behind a unix socket or a peer listener.

import type { RequestListener, ServerResponse } from 'node:http';

export interface EventEngine {
  readonly serve: RequestListener;
  /** The queries it was asked with, in order. */
  readonly queries: string[];
  /** Something happens, now or at this time. Returns its time, nanoseconds. */
  happen(event?: EngineEventFields): bigint;
  /** Breaks every stream in the middle. */
  cut(): void;
  /** Streams that are open now. */
  streams(): number;
}

export interface EngineEventFields {
  readonly Type?: string;
  readonly Action?: string;
  readonly id?: string;
  readonly name?: string;
  readonly scope?: 'local' | 'swarm';
  readonly timeNs?: bigint;
  /** Makes it long. */
  readonly pad?: string;
}

/** What an engine remembers. */
export const historyLength = 256;

interface Kept {
  readonly timeNs: bigint;
  readonly line: string;
}

let lastNs = 0n;

/** Never twice the same, in the order of the calls. */
export function nextTimeNs(): bigint {
  const nowNs = BigInt(Date.now()) * 1_000_000n;
  lastNs = nowNs > lastNs ? nowNs : lastNs + 1n;
  return lastNs;
}

export function createEventEngine(): EventEngine {
  const history: Kept[] = [];
  const live = new Set<ServerResponse>();
  const queries: string[] = [];
  let happened = 0;

  return {
    queries,
    serve(req, res): void {
      const url = new URL(req.url ?? '', 'http://engine');
      queries.push(url.search);
      const since = timeOf(url.searchParams.get('since'));
      const until = timeOf(url.searchParams.get('until'));
      res.writeHead(200, { 'Content-Type': 'application/json' });
      res.flushHeaders();
      const nowNs = BigInt(Date.now()) * 1_000_000n;
      if (since !== undefined || until !== undefined) {
        for (const { line } of lookBack(history, since ?? 0n, until)) res.write(line);
      }
      if (until !== undefined && until < nowNs) {
        res.end();
        return;
      }
      live.add(res);
      res.once('close', () => live.delete(res));
      if (until === undefined) return;
      const timer = setTimeout(() => res.end(), Number((until - nowNs) / 1_000_000n));
      res.once('close', () => clearTimeout(timer));
    },
    happen(fields = {}): bigint {
      happened += 1;
      const { timeNs = nextTimeNs() } = fields;
      const line = lineOf(fields, timeNs, happened);
      history.push({ timeNs, line });
      if (history.length > historyLength) history.shift();
      for (const res of live) res.write(line);
      return timeNs;
    },
    cut(): void {
      for (const res of live) res.destroy();
    },
    streams: () => live.size,
  };
}

/** From the newest to the first that is too old, as the engine looks. */
function lookBack(history: readonly Kept[], since: bigint, until: bigint | undefined): readonly Kept[] {
  const tooOld = history.findLastIndex(({ timeNs }) => timeNs < since);
  return history.slice(tooOld + 1).filter(({ timeNs }) => until === undefined || timeNs <= until);
}

function lineOf(fields: EngineEventFields, timeNs: bigint, count: number): string {
  const { Type = 'container', Action = 'start', id = `c${count}`, name = id, scope = 'local', pad } = fields;
  const Attributes = { image: 'busybox', name, ...(pad !== undefined && { pad }) };
  const event = { status: Action, id, Type, Action, Actor: { ID: id, Attributes }, scope };
  return `${JSON.stringify(event).slice(0, -1)},"time":${timeNs / 1_000_000_000n},"timeNano":${timeNs}}\n`;
}

function timeOf(text: string | null): bigint | undefined {
  if (text === null || text === '') return undefined;
  const [seconds = '0', decimals = ''] = text.split('.');
  return BigInt(seconds) * 1_000_000_000n + BigInt(decimals.padEnd(9, '0'));
}
