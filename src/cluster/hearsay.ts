// What others say of a member's death, checked before it is believed.
// A member that comes back from a cut brings death claims about everybody it could not reach; they must not spread.

import type { LocalState } from './local-state.ts';
import { isAbout, isLive } from './membership.ts';
import type { Claim } from './messages.ts';
import { hearsayCheckMs, type ProbeTiming } from './suspicion.ts';

export interface HearsayNeeds {
  readonly state: LocalState;
  /** Pings the member, telling it the claim. */
  readonly probe: (peerId: string) => void;
  readonly bury: (claim: Claim) => void;
}

export interface Hearsay {
  /** Another member declared this one dead. */
  onDeathClaim(claim: Claim): void;
  /** What a member must refute because somebody holds it dead. */
  claimAgainst(peerId: string): Claim | undefined;
  tick(): void;
}

interface Condemned {
  readonly claim: Claim;
  readonly sinceMs: number;
  readonly round: number;
}

/** A member that answers without refuting did not get the claim yet; after so many pings it is left as it is. */
const maxRounds = 3;

export function createHearsay({ state, probe, bury }: HearsayNeeds, timing: ProbeTiming): Hearsay {
  /** Members that others declared dead and that we still hold alive. At most one claim for each. */
  const condemned = new Map<string, Condemned>();

  const isOpen = (claim: Claim): boolean => {
    const entry = state.table.byPeer(claim.peerId);
    return entry !== undefined && isLive(entry) && isAbout(claim, entry.signed.record);
  };
  const check = (claim: Claim, round: number): void => {
    condemned.set(claim.peerId, { claim, sinceMs: state.nowMs(), round });
    probe(claim.peerId);
  };
  return {
    onDeathClaim: (claim) => {
      if (claim.peerId === state.peerId) state.refute(claim);
      else if (isOpen(claim) && !condemned.has(claim.peerId)) check(claim, 1);
    },
    claimAgainst: (peerId) => condemned.get(peerId)?.claim,
    tick: () => {
      for (const [peerId, { claim, sinceMs, round }] of condemned) {
        if (state.nowMs() - sinceMs < hearsayCheckMs(timing)) continue;
        condemned.delete(peerId);
        if (!isOpen(claim)) continue;
        const heardMs = state.watches.find(peerId)?.heardMs ?? Number.NEGATIVE_INFINITY;
        if (heardMs < sinceMs) bury(claim);
        // It lives, but whoever holds it dead goes on doing so until it writes a newer version.
        else if (round < maxRounds) check(claim, round + 1);
      }
    },
  };
}
