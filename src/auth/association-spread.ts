// Spreads the association to the other agents over peer TLS: at each change to all, to each member that appears, and
// to one at random from time to time. A message that was lost is sent again soon, or made up for at such a time. Only in a
// cluster with a secret, where a member record gives authority.

import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type Association, parseAssociation } from './association.ts';
import type { AssociationStore } from './auth.ts';

/** One other agent, as far as this file needs to know it. */
export interface SpreadPeer {
  readonly nodeName: string;
  /** Sends ours, answers with what holds there afterwards, as text. */
  exchange(body: string, signal: AbortSignal): Promise<string>;
}

export interface SpreadNeeds {
  readonly store: AssociationStore;
  readonly peers: () => readonly SpreadPeer[];
  /** Calls back with the members that appeared. */
  readonly onAppeared: (listener: (peers: readonly SpreadPeer[]) => void) => () => void;
  readonly random: () => number;
  readonly log: Logger;
}

export interface SpreadOutcome {
  readonly node: string;
  readonly outcome: 'done' | 'unreachable';
}

export interface Spread {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Exchanges with every peer now, once. */
  toAll(signal: AbortSignal): Promise<readonly SpreadOutcome[]>;
}

const exchangeIntervalMs = 30_000;
const exchangeTimeoutMs = 2_000;
/** Doubled each time, for as long as it comes before the exchange at random. */
const firstRetryMs = 1_000;

export function createSpread(needs: SpreadNeeds): Spread {
  const { store, log } = needs;
  let timer: NodeJS.Timeout | undefined;
  let undo: readonly (() => void)[] = [];

  const exchange = async (peer: SpreadPeer, signal: AbortSignal): Promise<SpreadOutcome> => {
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(exchangeTimeoutMs)]);
      store.merge(parseAssociation(await peer.exchange(JSON.stringify(store.current()), limited)));
      return { node: peer.nodeName, outcome: 'done' };
    } catch (error) {
      // It is tried again; `flotilla keys forget` shows the outcome to whoever asked for it.
      log.debug('association not exchanged', { node: peer.nodeName, reason: reasonOf(error) });
      return { node: peer.nodeName, outcome: 'unreachable' };
    }
  };

  const untilDone = async (peer: SpreadPeer, signal: AbortSignal): Promise<void> => {
    for (let delayMs = firstRetryMs; delayMs < exchangeIntervalMs; delayMs *= 2) {
      const { outcome } = await exchange(peer, signal);
      if (outcome === 'done') return;
      // Rejects at the stop, which ends the loop.
      await sleep(delayMs, undefined, { signal });
    }
  };
  const bringTo = (peers: readonly SpreadPeer[], signal: AbortSignal): void => {
    for (const peer of peers) void untilDone(peer, signal).catch(() => undefined);
  };

  return {
    name: 'association spread',
    start(): Promise<void> {
      if (timer !== undefined) return Promise.resolve();
      const stopping = new AbortController();
      timer = setInterval(() => {
        const peers = needs.peers();
        const peer = peers[Math.floor(needs.random() * peers.length)];
        // `exchange` settles with an outcome, never with an error.
        if (peer !== undefined) void exchange(peer, stopping.signal);
      }, exchangeIntervalMs);
      undo = [
        store.onChange(() => bringTo(needs.peers(), stopping.signal)),
        needs.onAppeared((peers) => bringTo(peers, stopping.signal)),
        () => stopping.abort(),
      ];
      return Promise.resolve();
    },
    stop(): Promise<void> {
      clearInterval(timer);
      timer = undefined;
      for (const call of undo) call();
      undo = [];
      return Promise.resolve();
    },
    toAll: (signal) => Promise.all(needs.peers().map((peer) => exchange(peer, signal))),
  };
}

/** What a peer sent is merged; what holds then is the answer. Throws `protocol-violation` for anything malformed. */
export function answerExchange(store: AssociationStore, body: string): string {
  const theirs: Association = parseAssociation(body);
  store.merge(theirs);
  return JSON.stringify(store.current());
}
