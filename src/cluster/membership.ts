// The rules by which one version of a member replaces another, and by which a suspicion or death is believed.
// Pure. Order never matters: applying the same records and claims in any order ends in the same entry.

import { createHash } from 'node:crypto';
import type { MemberRecord } from './cluster.ts';
import type { Claim, EntryState } from './messages.ts';
import type { SignedRecord } from './record.ts';

/** What is known of the agent of one engine. */
export interface Entry {
  readonly signed: SignedRecord;
  readonly state: EntryState;
  /** Patient time since which it is in this state. */
  readonly sinceMs: number;
  /** The same moment on the wall clock, for people. */
  readonly sinceWallMs: number;
}

/** A dead member is named as missing, and redialled, for so long. */
export const deadMemoryMs = 259_200_000;
/** Dead members beyond this many are forgotten, the longest dead first. */
export const maxDead = 256;
/** A member that left is remembered so long, lest a late rumor bring it back. */
export const leftMemoryMs = 600_000;

export type Order = 'older' | 'same' | 'newer';

/**
 * Generation first: a restart wins over anything its predecessor said. Then incarnation, SWIM's counter of refutations.
 * Two processes with the same generation are ordered by peer id, so that everybody prefers the same one.
 */
export function compareVersions(a: MemberRecord, b: MemberRecord): Order {
  const difference =
    a.generation - b.generation || compareText(a.peerId, b.peerId) || a.incarnation - b.incarnation;
  if (difference === 0) return 'same';
  return difference < 0 ? 'older' : 'newer';
}

export function claimOf(record: MemberRecord): Claim {
  return { peerId: record.peerId, generation: record.generation, incarnation: record.incarnation };
}

/** The state after a record arrived, or undefined when it says nothing new. */
export function decideRecord(current: Entry | undefined, signed: SignedRecord): EntryState | undefined {
  if (current !== undefined && compareVersions(signed.record, current.signed.record) !== 'newer')
    return undefined;
  return signed.leaving ? 'left' : 'alive';
}

/**
 * The state after somebody claimed that this member is suspect or dead, or undefined when the claim changes nothing.
 * A claim about another version is void: an older one was refuted, a newer one is not known here yet.
 */
export function decideClaim(entry: Entry, claim: Claim, state: 'suspect' | 'dead'): EntryState | undefined {
  const about = isAbout(claim, entry.signed.record);
  return about && precedence[state] > precedence[entry.state] ? state : undefined;
}

export function isAbout(claim: Claim, record: MemberRecord): boolean {
  return (
    record.peerId === claim.peerId &&
    record.generation === claim.generation &&
    record.incarnation === claim.incarnation
  );
}

const precedence: Readonly<Record<EntryState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

export function isLive(entry: Entry): boolean {
  return entry.state === 'alive' || entry.state === 'suspect';
}

/** Whether an entry has outlived its use. */
export function isForgotten(entry: Entry, nowMs: number): boolean {
  if (entry.state === 'dead') return nowMs - entry.sinceMs > deadMemoryMs;
  return entry.state === 'left' && nowMs - entry.sinceMs > leftMemoryMs;
}

/**
 * Whom to push out when there is no room: who left, then who died, the longest ago first. Never a live member: a flood
 * of new ones must not displace those that work.
 */
export function chooseEviction(entries: Iterable<Entry>): Entry | undefined {
  const candidates = [...entries].filter((entry) => !isLive(entry));
  candidates.sort((a, b) => precedence[b.state] - precedence[a.state] || a.sinceMs - b.sinceMs);
  return candidates[0];
}

/** Same live members in the same versions, same hash. Suspicion and the dead are left out: they differ for moments. */
export function hashMembers(entries: Iterable<Entry>): string {
  const versions: string[] = [];
  for (const entry of entries) {
    const { engineId, peerId, generation, incarnation } = entry.signed.record;
    if (isLive(entry)) versions.push(`${engineId} ${peerId} ${generation} ${incarnation}`);
  }
  return createHash('sha256').update(versions.sort().join('\n')).digest('base64').slice(0, 12);
}

/** Larger than the wall clock and than everything seen: a clock that stepped back cannot make a ghost. */
export function nextGeneration(wallMs: number, highestSeen: number): number {
  return Math.max(Math.floor(wallMs), highestSeen + 1);
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
