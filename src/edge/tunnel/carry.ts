// Carries one channel to our own API and back, with backpressure, until both directions have ended or one has failed.
// Whatever happens, both ends are closed when it resolves.

import type { Duplex } from 'node:stream';
import { ungated } from './gate.ts';
import type { LinkChannel, Outlet } from './link.ts';

/** Never rejects: who made the connection learns of a failure by its end. The signal says that the link is gone. */
export async function carry(
  channel: LinkChannel,
  dialLocal: () => Promise<Duplex>,
  signal: AbortSignal,
): Promise<void> {
  try {
    const local = await dialLocal();
    const cut = (): void => void local.destroy();
    if (signal.aborted) cut();
    signal.addEventListener('abort', cut);
    await carryBetween(channel, local);
    signal.removeEventListener('abort', cut);
  } catch {
    // Our own API is not there: it is starting, or stopping.
  }
  channel.close();
  // Who waits for the peer's close has to read what is still under way.
  channel.stream.resume();
  await untilGone(channel.stream, signal);
}

async function carryBetween(channel: LinkChannel, local: Duplex): Promise<void> {
  const { stream, closedByPeer } = channel;
  const gone = untilClosed(local);
  const there = copy(stream, local, ungated(local));
  const back = copy(local, stream, channel);
  try {
    if (closedByPeer === undefined) await Promise.all([there, back]);
    else await Promise.race([there.then(() => closedByPeer), back]);
    // What the other side said before it left still reaches the API.
    local.end();
    await Promise.race([untilFinished(local), gone]);
  } catch {
    // One side broke; the other one is told by its end.
  }
  local.destroy();
  await Promise.allSettled([there, back, gone]);
}

/** Leaves no listener on the signal, which sees every channel of a link that may last for months. */
function untilGone(stream: Duplex, signal: AbortSignal): Promise<void> {
  if (stream.closed || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const onGone = (): void => {
      signal.removeEventListener('abort', onGone);
      resolve();
    };
    stream.once('close', onGone);
    signal.addEventListener('abort', onGone);
  });
}

function untilFinished(stream: Duplex): Promise<void> {
  if (stream.writableFinished || stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('finish', resolve);
    stream.once('close', resolve);
  });
}

function untilClosed(stream: Duplex): Promise<void> {
  if (stream.closed) return Promise.resolve();
  return new Promise((resolve) => stream.once('close', () => resolve()));
}

/**
 * Resolves when everything was handed over and the end too; rejects when either stream fails or closes before. Not
 * `pipeline`, which destroys both streams where one direction may outlive the other.
 */
function copy(from: Duplex, to: Duplex, out: Outlet): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const goOn = (): void => {
    if (!to.writableNeedDrain && !out.isBlocked()) from.resume();
  };
  const offFree = out.onFree(goOn);
  const onData = (chunk: Buffer): void => {
    if (!out.write(chunk) || out.isBlocked()) from.pause();
  };
  const onEnd = (): void => {
    to.end();
    resolve();
  };
  const onGone = (): void => reject(new Error('closed'));
  to.on('drain', goOn);
  to.on('close', onGone);
  to.on('error', onGone);
  from.on('close', onGone);
  from.on('error', onGone);
  from.on('end', onEnd);
  from.on('data', onData);
  const off = (): void => {
    offFree();
    to.off('drain', goOn);
    for (const [name, listener] of [
      ['close', onGone],
      ['error', onGone],
      ['end', onEnd],
    ] as const)
      from.off(name, listener);
    from.off('data', onData);
    to.off('close', onGone);
    // The error listeners stay: a late error of a closing stream has nobody else to go to.
    from.on('error', () => undefined);
    to.on('error', () => undefined);
    to.off('error', onGone);
  };
  return promise.finally(off);
}
