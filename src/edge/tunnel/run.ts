// One attempt and, when it succeeds, the life of its link: what the server opens is carried to our own API.
// Resolves when nothing of it is left, neither a socket nor a timer.

import type { Duplex } from 'node:stream';
import { reasonOf } from '../../errors.ts';
import type { EdgeClock } from '../poller.ts';
import { carry } from './carry.ts';
import { dialServer } from './dial.ts';
import type { Connect, Link, LinkNeeds, LinkOrder } from './link.ts';
import { watchSilence } from './silence.ts';

export interface RunNeeds {
  readonly connect: Connect;
  readonly dialLocal: () => Promise<Duplex>;
  readonly clock: EdgeClock;
  readonly proxy: string | undefined;
  /** The server listens. */
  readonly onConnected: () => void;
  readonly onChannels: (change: 1 | -1) => void;
}

/** A name that does not resolve, or packets that are dropped; after it another attempt has a better chance. */
const dialTimeoutMs = 8_000;
/** From the first packet to the port that listens. */
const connectTimeoutMs = 20_000;

/** Returns why it ended. Never rejects. */
export async function runLink(order: LinkOrder, needs: RunNeeds, signal: AbortSignal): Promise<string> {
  const { proxy } = needs;
  const carried = new Set<Promise<void>>();
  const lost = new AbortController();
  const linkNeeds: LinkNeeds = {
    dial: (address, dialSignal) => dialServer(address, { proxy, timeoutMs: dialTimeoutMs }, dialSignal),
    onChannel(channel): void {
      needs.onChannels(1);
      const one = carry(channel, needs.dialLocal, lost.signal).finally(() => {
        carried.delete(one);
        needs.onChannels(-1);
      });
      carried.add(one);
    },
  };
  try {
    const link = await connectInTime(order, needs, linkNeeds, signal);
    needs.onConnected();
    return await live(link, needs.clock, signal);
  } catch (error) {
    return reasonOf(error);
  } finally {
    lost.abort();
    await Promise.all(carried);
  }
}

async function connectInTime(
  order: LinkOrder,
  { connect, clock }: RunNeeds,
  linkNeeds: LinkNeeds,
  signal: AbortSignal,
): Promise<Link> {
  const limit = new AbortController();
  const cancel = clock.after(connectTimeoutMs, () =>
    limit.abort(new Error(`not open after ${connectTimeoutMs} ms`)),
  );
  try {
    return await connect(order, linkNeeds, AbortSignal.any([signal, limit.signal]));
  } finally {
    cancel();
  }
}

/** Resolves with the reason when it is over. */
async function live(link: Link, clock: EdgeClock, signal: AbortSignal): Promise<string> {
  const close = (): void => link.close(reasonOf(signal.reason));
  signal.addEventListener('abort', close);
  if (signal.aborted) close();
  const stopWatching = watchSilence(link, clock);
  const reason = await link.ended;
  stopWatching();
  signal.removeEventListener('abort', close);
  return reason;
}
