// Containers that come and go on an engine, with the times between which each certainly existed, and outside of which it
// certainly did not. What a list may and must hold follows from that.

import { request } from 'node:http';

import type { LabNode } from './lab/node.ts';

/** All times by `performance.now()`. The engine was asked to create it after `askedMs`, and said so before `madeMs`. */
export interface Existence {
  readonly id: string;
  readonly nodeName: string;
  askedMs: number;
  madeMs: number;
  /** When its removal was asked for, and when the engine said that it is gone. Infinity while it stays. */
  removingMs: number;
  goneMs: number;
}

export interface Churn extends AsyncDisposable {
  readonly existences: readonly Existence[];
  /** How many are gone. */
  gone(): number;
  /** No more come or go; what is there stays until the disposal. */
  stop(): Promise<void>;
}

export interface ChurnOptions {
  /** Containers that stay. */
  readonly lasting: number;
  /** Containers at any time that come and go. */
  readonly passing: number;
  /** Between two that come. */
  readonly pauseMs: number;
}

const image = 'busybox:lab';
const engineTimeoutMs = 20_000;
/** Every so many are started too, so that the list's states change while it is made. */
const startedEvery = 8;

/** Resolves when the lasting ones exist. */
export async function startChurn(node: LabNode, options: ChurnOptions): Promise<Churn> {
  const existences: Existence[] = [];
  let gone = 0;
  const make = async (): Promise<Existence> => {
    const askedMs = performance.now();
    const id = await createContainer(node);
    const made = {
      id,
      nodeName: node.name,
      askedMs,
      madeMs: performance.now(),
      removingMs: Number.POSITIVE_INFINITY,
      goneMs: Number.POSITIVE_INFINITY,
    };
    existences.push(made);
    return made;
  };
  const remove = async (existence: Existence): Promise<void> => {
    existence.removingMs = performance.now();
    await askEngine(node, 'DELETE', `/containers/${existence.id}?force=1`);
    existence.goneMs = performance.now();
    gone += 1;
  };
  for (let count = 0; count < options.lasting; count++) await make();

  let stopped = false;
  const passing: Existence[] = [];
  const comeAndGo = async (): Promise<void> => {
    for (let count = 1; !stopped; count++) {
      const made = await make();
      if (count % startedEvery === 0) await askEngine(node, 'POST', `/containers/${made.id}/start`);
      passing.push(made);
      const oldest = passing.length > options.passing ? passing.shift() : undefined;
      if (oldest !== undefined) await remove(oldest);
      await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
    }
  };
  const running = comeAndGo();
  // Thrown at `stop`, which every test awaits.
  running.catch(() => undefined);
  const stop = async (): Promise<void> => {
    stopped = true;
    await running;
  };
  return {
    existences,
    gone: () => gone,
    stop,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      await running.catch(() => undefined);
      for (const existence of existences) {
        if (existence.goneMs === Number.POSITIVE_INFINITY) await remove(existence);
      }
    },
  };
}

interface Times {
  readonly startedMs: number;
  readonly endedMs: number;
}

/** What is wrong with a list that was asked for and came at these times; undefined when nothing is. */
export function faultOf(
  listed: readonly { readonly id: string; readonly nodeName: string }[],
  times: Times,
  existences: readonly Existence[],
): string | undefined {
  const nodeOf = new Map(listed.map(({ id, nodeName }) => [id, nodeName]));
  if (nodeOf.size !== listed.length) return `${listed.length - nodeOf.size} containers are listed twice`;
  for (const existence of existences) {
    const on = nodeOf.get(existence.id);
    const fault = on === undefined ? absenceFault(existence, times) : presenceFault(existence, on, times);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function absenceFault(existence: Existence, { startedMs, endedMs }: Times): string | undefined {
  const { id, nodeName, madeMs, removingMs } = existence;
  return madeMs < startedMs && removingMs > endedMs ? `${id} of ${nodeName} is not listed` : undefined;
}

function presenceFault(existence: Existence, on: string, { startedMs, endedMs }: Times): string | undefined {
  const { id, nodeName, askedMs, goneMs } = existence;
  if (on !== nodeName) return `${id} of ${nodeName} is listed on ${on}`;
  if (askedMs > endedMs) return `${id} of ${nodeName} is listed before it was made`;
  return goneMs < startedMs ? `${id} of ${nodeName} is listed after it was removed` : undefined;
}

async function createContainer(node: LabNode): Promise<string> {
  const body = { Image: image, Cmd: ['sleep', '1000'], NetworkDisabled: true };
  const { Id } = (await askEngine(node, 'POST', '/containers/create', body)) as { readonly Id: string };
  return Id;
}

/** One question to the engine itself, past all agents. Undefined for an empty answer. */
export function askEngine(node: LabNode, method: string, path: string, body?: unknown): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const text = body === undefined ? '' : JSON.stringify(body);
  const outgoing = request({
    socketPath: node.engineSocket,
    method,
    path,
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) },
    signal: AbortSignal.timeout(engineTimeoutMs),
  });
  outgoing.on('error', reject);
  outgoing.on('response', (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const answer = Buffer.concat(chunks).toString('utf8');
      const status = response.statusCode ?? 0;
      if (status >= 300) reject(new Error(`${method} ${path} on ${node.name}: ${status} ${answer}`));
      else resolve(answer === '' ? undefined : JSON.parse(answer));
    });
  });
  outgoing.end(text);
  return promise;
}
