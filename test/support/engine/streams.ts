// The fake engine's answers that take their time: logs, events, wait, pull, uploads.
// What they wait for is given by the test through the feeds, so no test depends on a clock.

import type { Exchange } from './exchange.ts';

/** Where a test puts what the streams deliver. */
export interface Feeds {
  /** To every open log stream of the container. */
  log(containerId: string, line: string): void;
  event(event: unknown): void;
  /** Ends every wait for the container. */
  exit(containerId: string, code: number): void;
  /** Ends every open log and event stream. */
  finish(): void;
  /** Streams that are open now. */
  openStreams(): number;
  subscribe(topic: string, listener: (item: string | undefined) => void): () => void;
}

export function createFeeds(): Feeds {
  const topics = new Map<string, Set<(item: string | undefined) => void>>();

  function publish(topic: string, item: string | undefined): void {
    for (const listener of topics.get(topic) ?? []) listener(item);
  }

  return {
    log: (id, line) => publish(`logs ${id}`, line),
    event: (event) => publish('events', `${JSON.stringify(event)}\n`),
    exit: (id, code) => publish(`exit ${id}`, `${JSON.stringify({ StatusCode: code })}\n`),
    finish() {
      for (const topic of topics.keys()) publish(topic, undefined);
    },
    openStreams: () => topics.values().reduce((count, listeners) => count + listeners.size, 0),
    subscribe(topic, listener) {
      const listeners = topics.get(topic) ?? new Set();
      topics.set(topic, listeners.add(listener));
      return () => listeners.delete(listener);
    },
  };
}

/** Without `follow` two lines and the end; with it whatever the feed brings until the client leaves. */
export async function followLogs(exchange: Exchange, feeds: Feeds, containerId: string): Promise<void> {
  const type = { 'Content-Type': 'application/vnd.docker.multiplexed-stream' };
  const follow = !['', '0', 'no', 'false', 'none'].includes(exchange.query.get('follow') ?? '');
  if (follow) {
    await deliver(exchange, feeds, `logs ${containerId}`, type);
    return;
  }
  const writer = await exchange.stream(type);
  await writer.write('line 1\n');
  await writer.write('line 2\n');
  await writer.end();
}

export async function followEvents(exchange: Exchange, feeds: Feeds): Promise<void> {
  await deliver(exchange, feeds, 'events', {});
}

/** The head goes out at once and the body when the container exits, which `docker run` relies on. */
export async function waitForExit(exchange: Exchange, feeds: Feeds, containerId: string): Promise<void> {
  for await (const _ of exchange.body());
  const writer = await exchange.stream();
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const unsubscribe = feeds.subscribe(`exit ${containerId}`, resolve);
  exchange.left.addEventListener('abort', () => resolve(undefined), { once: true });
  const result = await promise;
  unsubscribe();
  if (result === undefined) throw new Error('client has left');
  await writer.write(result);
  await writer.end();
}

/** Progress lines; an image whose name holds `broken` fails after the 200, as pulls do. */
export async function pull(exchange: Exchange): Promise<void> {
  const writer = await exchange.stream();
  await writer.write('{"status":"Pulling from library/image","id":"latest"}\r\n');
  if (exchange.query.get('fromImage')?.includes('broken') === true) {
    await writer.write('{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}\r\n');
  } else {
    await writer.write('{"status":"Status: Downloaded newer image for image:latest"}\r\n');
  }
  await writer.end();
}

/** Reads a body of any size and says how much it was. */
export async function countUpload(exchange: Exchange): Promise<void> {
  for await (const _ of exchange.body());
  const { bodyBytes, bodySha256 } = exchange.received;
  await exchange.answer(200, { stream: `${bodyBytes} bytes`, sha256: bodySha256 });
}

async function deliver(
  exchange: Exchange,
  feeds: Feeds,
  topic: string,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const writer = await exchange.stream(headers);
  const unsubscribe = feeds.subscribe(topic, (item) => {
    if (item === undefined) resolve();
    else writer.write(item).catch(reject);
  });
  exchange.left.addEventListener('abort', () => reject(new Error('client has left')), { once: true });
  if (exchange.left.aborted) reject(new Error('client has left'));
  try {
    await ended;
  } finally {
    unsubscribe();
  }
  await writer.end();
}
