// Brings the Edge key to the other agents of the cluster, and takes it from them, over peer TLS. A member's record says
// whether it has one, so that only those who differ talk; after a message that was lost the next round comes soon.

import { AgentError, reasonOf } from '../errors.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { EdgeKeys } from './edge.ts';
import { maxEdgeKeyChars } from './edge-key.ts';
import { createLatest } from './latest.ts';
import type { EdgeClock } from './poller.ts';

/** One other agent, as far as this file needs to know it. */
export interface KeyPeer {
  readonly nodeName: string;
  /** Of its member record. */
  readonly edgeKeySet: boolean;
  /** Sends ours, answers with what holds there afterwards, as text. */
  exchange(body: string, signal: AbortSignal): Promise<string>;
}

export interface KeySpreadNeeds {
  readonly keys: EdgeKeys;
  readonly peers: () => readonly KeyPeer[];
  readonly onPeersChange: (listener: () => void) => () => void;
  /** Tells the others that we have a key now. */
  readonly announce: () => void;
  readonly clock: EdgeClock;
  readonly log: Logger;
}

const roundIntervalMs = 30_000;
const exchangeTimeoutMs = 3_000;
/** After a round in which somebody was not reached; doubled each time. */
const firstRetryMs = 1_000;

export function createKeySpread(needs: KeySpreadNeeds): Startable {
  const { keys, clock, log } = needs;
  const rounds = createLatest<void>({
    run: async (_, signal) => {
      const reached = await Promise.all(differing(needs).map((peer) => exchange(needs, peer, signal)));
      if (signal.aborted) return;
      const isLost = reached.includes(false);
      nextIn(isLost ? retryMs : roundIntervalMs);
      retryMs = isLost ? Math.min(2 * retryMs, roundIntervalMs) : firstRetryMs;
    },
    // Each exchange keeps its failure to itself.
    onFailed: (error) => {
      log.error('edge key round failed', { reason: reasonOf(error) });
      nextIn(roundIntervalMs);
    },
  });
  let retryMs = firstRetryMs;
  let undo: readonly (() => void)[] = [];
  let cancelTimer = (): void => undefined;
  const nextIn = (delayMs: number): void => {
    cancelTimer();
    cancelTimer = clock.after(delayMs, () => rounds.give());
  };

  return {
    name: 'edge key spread',
    start(): Promise<void> {
      if (undo.length > 0) return Promise.resolve();
      undo = [
        needs.onPeersChange(() => {
          if (differing(needs).length > 0) rounds.give();
        }),
        keys.onAssociated(() => {
          needs.announce();
          rounds.give();
        }),
      ];
      rounds.give();
      return Promise.resolve();
    },
    async stop(): Promise<void> {
      for (const call of undo) call();
      undo = [];
      await rounds.cancel();
      cancelTimer();
    },
  };
}

/** What a member sent is taken where none holds; ours is the answer. Throws for what is no exchange, or no key. */
export async function answerKeyExchange(keys: EdgeKeys, body: string): Promise<string> {
  await take(keys, body);
  return toBody(keys);
}

function differing({ keys, peers }: KeySpreadNeeds): readonly KeyPeer[] {
  const ours = keys.current() !== undefined;
  return peers().filter(({ edgeKeySet }) => edgeKeySet !== ours);
}

/** Whether it was reached; never rejects. */
async function exchange({ keys, log }: KeySpreadNeeds, peer: KeyPeer, signal: AbortSignal): Promise<boolean> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(exchangeTimeoutMs)]);
    await take(keys, await peer.exchange(toBody(keys), limited));
    return true;
  } catch (error) {
    log.debug('edge key not exchanged', { node: peer.nodeName, reason: reasonOf(error) });
    return false;
  }
}

async function take(keys: EdgeKeys, body: string): Promise<void> {
  const theirs = parseBody(body);
  if (theirs !== undefined && keys.current() === undefined) await keys.associate(theirs, 'member');
}

function toBody(keys: EdgeKeys): string {
  return JSON.stringify({ edgeKey: keys.current()?.text });
}

function parseBody(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null) {
      const { edgeKey } = value as Readonly<Record<string, unknown>>;
      if (edgeKey === undefined) return undefined;
      if (typeof edgeKey === 'string' && edgeKey.length <= maxEdgeKeyChars) return edgeKey;
    }
  } catch {
    // Falls through: not JSON is as wrong as any other shape.
  }
  throw new AgentError('protocol-violation', 'parse edge key exchange: malformed');
}
