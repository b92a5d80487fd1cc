// Turns silence into suspicion and suspicion into death, and takes both back when the member proves life.
// The timing rules are in suspicion.ts; this file keeps the accusers and acts.

import type { Logger } from '../log.ts';
import type { LocalState } from './local-state.ts';
import { claimOf, isAbout, isLive } from './membership.ts';
import type { Claim } from './messages.ts';
import type { MemberNetwork } from './network.ts';
import { neededAccusers, type ProbeTiming, suspicionTimeoutMs } from './suspicion.ts';
import type { Suspicion } from './watch.ts';

export interface SuspectorNeeds {
  readonly state: LocalState;
  readonly network: MemberNetwork;
  readonly log: Logger;
  readonly probe: (peerId: string) => void;
  /** Opens a new connection even if there is one. */
  readonly connectFresh: (peerId: string) => void;
}

export interface Suspector {
  /** Our own probe of this member failed. */
  onProbeFailure(peerId: string): void;
  /** A member found this one silent. Several accusers shorten the time to refute. */
  accuse(claim: Claim, accuser: string): void;
  bury(claim: Claim): void;
  /** Declares those dead whose time to refute is over. */
  tick(): void;
}

export function createSuspector(needs: SuspectorNeeds, timing: ProbeTiming): Suspector {
  const { state, network, log } = needs;
  /** The suspicion of this very version; a newer version starts a new one. */
  const suspicionOf = ({ peerId, generation, incarnation }: Claim): Suspicion => {
    const watch = state.watches.of(peerId);
    const running = watch.suspicion;
    if (running?.generation === generation && running.incarnation === incarnation) return running;
    const suspicion = { generation, incarnation, sinceMs: state.nowMs(), accusers: new Set<string>() };
    watch.suspicion = suspicion;
    return suspicion;
  };
  const accuse = (claim: Claim, accuser: string): void => {
    if (claim.peerId === state.peerId) {
      state.refute(claim);
      return;
    }
    state.applyClaim(claim, 'suspect');
    const entry = state.table.byPeer(claim.peerId);
    if (entry?.state !== 'suspect' || !isAbout(claim, entry.signed.record)) return;
    const suspicion = suspicionOf(claim);
    if (suspicion.accusers.has(accuser)) return;
    suspicion.accusers.add(accuser);
    if (accuser === state.peerId) {
      // Two are enough; more would make each doubt in a large cluster a storm of rumors.
      if (suspicion.accusers.size <= neededAccusers) void network.publish({ kind: 'suspect', claim });
      return;
    }
    // Told by another: if it is ours to probe, look now, which confirms it or brings the refutation.
    const isOurs = state.watches.of(claim.peerId).nextProbeMs !== undefined;
    if (isOurs && !suspicion.accusers.has(state.peerId)) needs.probe(claim.peerId);
  };
  const bury = (claim: Claim): void => {
    if (!state.applyClaim(claim, 'dead')) return;
    const record = state.table.byPeer(claim.peerId)?.signed.record;
    log.warn('member is dead', { node: record?.nodeName, address: record?.address, peerId: claim.peerId });
    // TCP would go on retrying for minutes, at growing intervals; a new connection is there within a second.
    network.drop(claim.peerId);
  };
  const heardLately = (peerId: string): boolean => {
    const watch = state.watches.find(peerId);
    return watch !== undefined && state.nowMs() - watch.heardMs < timing.probeTimeoutMs;
  };
  return {
    accuse,
    onProbeFailure: (peerId) => {
      const entry = state.table.byPeer(peerId);
      if (entry === undefined || !isLive(entry)) return;
      log.debug('member did not answer', { node: entry.signed.record.nodeName, peerId });
      accuse(claimOf(entry.signed.record), state.peerId);
      // The old connection may be the trouble and not the member: a fresh one is a last chance to prove life.
      needs.connectFresh(peerId);
    },
    bury,
    tick: () => {
      for (const [peerId, watch] of state.watches.entries()) {
        if (watch.suspicion === undefined) continue;
        const accusers = watch.suspicion.accusers.size;
        const possibleConfirmers = state.trustedOthers(peerId).length;
        const timeoutMs = suspicionTimeoutMs({ accusers, possibleConfirmers }, timing);
        if (state.nowMs() - watch.suspicion.sinceMs < timeoutMs || heardLately(peerId)) continue;
        const claim = state.suspicionOf(peerId);
        watch.suspicion = undefined;
        if (claim === undefined) continue;
        void network.publish({ kind: 'dead', claim });
        bury(claim);
      }
    },
  };
}
