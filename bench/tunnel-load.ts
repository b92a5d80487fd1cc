// A client at the tunnel's far end, for the bench: one transfer, requests one after the other, and many at once.
// Prints what it measured, as JSON.

import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';

export interface TunnelLoad {
  readonly megabytesPerSecond: number;
  readonly p50Ms: number;
  /** Of the requests that had a connection of their own. */
  readonly lost: number;
}

const transferBytes = 128 * 1024 * 1024;
const sequential = 400;
const short = 500;
const concurrency = 50;
const shortBytes = 200;
/** A request that takes so long is lost; the transfer has as long as sixty of them. */
const shortTimeoutMs = 10_000;
const transferTimeoutMs = 60 * shortTimeoutMs;
const port = Number(process.argv[2]);

async function fetchBytes(agent: Agent, bytes: number, timeoutMs = shortTimeoutMs): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  const request = get({ host: '127.0.0.1', port, path: `/${bytes}`, agent, signal });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let got = 0;
  for await (const part of response as AsyncIterable<Buffer>) got += part.length;
  if (got !== bytes) throw new Error(`${got} of ${bytes} bytes`);
}

async function timed(run: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}

async function measure(): Promise<TunnelLoad> {
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  await fetchBytes(kept, shortBytes);
  const times: number[] = [];
  for (let i = 0; i < sequential; i += 1) times.push(await timed(() => fetchBytes(kept, shortBytes)));
  const transferMs = await timed(() => fetchBytes(kept, transferBytes, transferTimeoutMs));
  kept.destroy();

  let next = 0;
  let lost = 0;
  const each = new Agent({ keepAlive: false });
  const worker = async (): Promise<void> => {
    for (; next < short; ) {
      next += 1;
      await fetchBytes(each, shortBytes).catch(() => {
        lost += 1;
      });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return {
    megabytesPerSecond: transferBytes / 1e3 / transferMs,
    p50Ms: times.toSorted((a, b) => a - b)[sequential / 2] ?? 0,
    lost,
  };
}

process.stdout.write(`${JSON.stringify(await measure())}\n`);
