// Decides which addresses discovery dials and when it looks again. Pure.
// It never gives up: quick while something is missing, rare when every address it knows is a member.

import type { Endpoint } from './network.ts';

export interface DiscoveryRound {
  /** Live members beside this one. */
  readonly others: number;
  /** Sources that failed in this round. */
  readonly faults: number;
  /** Addresses that belong to no live member. */
  readonly unmatched: number;
}

const aloneMs = 1_000;
/** Halves of a cluster that formed apart find each other within 5 s of the first good answer. */
const incompleteMs = 3_000;
const completeMs = 20_000;
/** Addresses considered in one round: as many as there may be members. */
const maxCandidates = 1_024;

/** With a quarter of jitter either way, so that agents started together do not stay together. */
export function nextRoundMs(round: DiscoveryRound, random: () => number): number {
  const jitter = 0.75 + random() / 2;
  if (round.others === 0) return aloneMs * jitter;
  return (round.faults > 0 || round.unmatched > 0 ? incompleteMs : completeMs) * jitter;
}

/** Nobody else exists, as far as every source says. A seed that is not this agent itself is somebody. */
export function isAlone(round: DiscoveryRound): boolean {
  return round.others === 0 && round.faults === 0 && round.unmatched === 0;
}

/** Without duplicates and without this agent itself, bounded. */
export function toCandidates(
  found: readonly Endpoint[],
  isOwn: (endpoint: Endpoint) => boolean,
): readonly Endpoint[] {
  const candidates = new Map<string, Endpoint>();
  for (const endpoint of found) {
    if (candidates.size >= maxCandidates) break;
    if (!isOwn(endpoint)) candidates.set(`${endpoint.address} ${endpoint.port}`, endpoint);
  }
  return [...candidates.values()];
}
