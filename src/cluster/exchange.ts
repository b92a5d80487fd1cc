// The exchange of full state (memberlist's push/pull): on each new link, and when hashes show a lasting difference.
// It is also the proof of membership: a linked peer that shows no accepted record of its own is cut off.

import { AgentError, reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type LocalState, toText } from './local-state.ts';
import { claimOf } from './membership.ts';
import type { Claim, EntryState, Question, StateLine } from './messages.ts';
import type { MemberNetwork } from './network.ts';
import { createNews } from './news.ts';
import type { SignedText } from './record.ts';

export interface ExchangeNeeds {
  readonly state: LocalState;
  readonly network: MemberNetwork;
  readonly log: Logger;
  /** What the peer believes of a member that is in our table in this very version. */
  readonly onBelief: (claim: Claim, state: EntryState) => void;
  /** Called after a batch was applied outside of a question. */
  readonly flush: () => void;
}

export interface Exchange {
  onLinkUp(peerId: string, direction: 'inbound' | 'outbound'): void;
  onLinkDown(peerId: string): void;
  /** Applies the state that a peer sent and returns ours. */
  answer(peerId: string, lines: readonly StateLine[]): readonly StateLine[];
  /** Notes the hash that a peer told. A lasting difference leads to an exchange. */
  compare(peerId: string, hash: string): void;
  /** Tells everybody a new version of our own record: by gossip, and by link where gossip does not lead yet. */
  announce(own: SignedText): void;
  /** A record is on its way to everybody already. */
  onGossiped(record: SignedText): void;
  /** Passes on what links brought, and cuts off peers that did not prove membership in time. */
  tick(): void;
}

/** A linked peer that did not prove membership by then is cut off. */
const proofTimeoutMs = 5_000;
const syncTimeoutMs = 3_000;
/** Differing hashes in a row before the full state is exchanged. One is a change on its way. */
const maxMismatches = 2;
/** Full states sent in a row to one peer whose answers make us write new versions. It hears the rest with its next probe. */
export const maxExchangeRounds = 3;

export function createExchange(needs: ExchangeNeeds): Exchange {
  const { state, network, log } = needs;
  /** Linked peers that did not prove membership yet, and since when. Bounded by the network's connections. */
  const unproved = new Map<string, number>();
  const syncing = new Set<string>();
  const news = createNews(network);

  const apply = (peerId: string, lines: readonly StateLine[]): void => {
    for (const line of lines) {
      const accepted = state.accept(line);
      if (accepted === undefined) continue;
      if (accepted.news) news.learn(toText(accepted.signed), state.nowMs());
      needs.onBelief(claimOf(accepted.signed.record), line.state);
    }
    if (state.isLivePeer(peerId)) {
      unproved.delete(peerId);
      state.watches.of(peerId).heardMs = state.nowMs();
      state.markJoined();
    }
  };
  const exchange = async (peerId: string): Promise<void> => {
    let told: SignedText | undefined;
    // What the peer knew of us may make us write a new version: it hears that now and not with the next probe.
    for (let round = 0; round < maxExchangeRounds; round++) {
      if (told === state.self() || !network.isLinked(peerId)) return;
      told = state.self();
      const question: Question = { kind: 'sync', lines: state.table.toLines(state.nowMs()) };
      const answer = await network.ask(peerId, question, syncTimeoutMs);
      if (answer.kind !== 'sync')
        throw new AgentError('protocol-violation', `sync with ${peerId}: not a sync`);
      apply(peerId, answer.lines);
      needs.flush();
    }
  };
  const sync = (peerId: string): void => {
    if (syncing.has(peerId)) return;
    syncing.add(peerId);
    exchange(peerId)
      // Best effort: an unproved link is cut and dialled again, a difference of hashes shows again.
      .catch((error: unknown) => log.debug('sync failed', { peerId, reason: reasonOf(error) }))
      .finally(() => syncing.delete(peerId));
  };
  return {
    onLinkUp: (peerId, direction) => {
      if (!state.isLivePeer(peerId)) unproved.set(peerId, state.nowMs());
      // The dialling side starts the exchange; it goes both ways.
      if (direction === 'outbound') sync(peerId);
    },
    onLinkDown: (peerId) => {
      unproved.delete(peerId);
    },
    answer: (peerId, lines) => {
      apply(peerId, lines);
      return state.table.toLines(state.nowMs());
    },
    compare: (peerId, hash) => {
      const watch = state.watches.find(peerId);
      if (watch === undefined) return;
      watch.mismatches = hash === state.table.hash() ? 0 : watch.mismatches + 1;
      if (watch.mismatches < maxMismatches || !network.isLinked(peerId)) return;
      watch.mismatches = 0;
      sync(peerId);
    },
    announce: (own) => {
      void network.publish({ kind: 'records', records: [own] }).then((reached) => {
        const missed = network.links().filter((peerId) => !reached.includes(peerId));
        for (const peerId of missed.filter((missing) => state.isLivePeer(missing))) sync(peerId);
      });
    },
    onGossiped: news.onGossiped,
    tick: () => {
      news.passOn(state.nowMs());
      for (const [peerId, sinceMs] of [...unproved]) {
        if (state.nowMs() - sinceMs < proofTimeoutMs) continue;
        unproved.delete(peerId);
        if (state.isLivePeer(peerId)) continue;
        log.debug('linked peer is no member', { peerId });
        network.drop(peerId);
      }
    },
  };
}
