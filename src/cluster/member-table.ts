// Holds what is known of every member, one entry for each engine, bounded. It applies the rules of membership.ts.
// It decides nothing about time or the network: the detector feeds it and acts on what changed.

import {
  chooseEviction,
  deadMemoryMs,
  decideClaim,
  decideRecord,
  type Entry,
  hashMembers,
  isForgotten,
  isLive,
  maxDead,
} from './membership.ts';
import type { Claim, EntryState, StateLine } from './messages.ts';
import { maxMembers } from './messages.ts';
import type { SignedRecord } from './record.ts';

/** The moment at which something is applied, on both clocks. */
export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

export interface MemberTable {
  get(engineId: string): Entry | undefined;
  byPeer(peerId: string): Entry | undefined;
  entries(): IterableIterator<Entry>;
  /** Peer ids of alive and suspect members. */
  live(): readonly string[];
  /** Applies a record in a state that somebody claims for it. Returns the new entry, undefined if nothing changed. */
  applyRecord(signed: SignedRecord, claimed: EntryState, at: Moment): Entry | undefined;
  applyClaim(claim: Claim, state: 'suspect' | 'dead', at: Moment): Entry | undefined;
  /** Forgets what is too old. Returns whether anything went. */
  expire(nowMs: number): boolean;
  hash(): string;
  toLines(nowMs: number): readonly StateLine[];
}

export function createMemberTable(): MemberTable {
  const byEngine = new Map<string, Entry>();
  const engineOf = new Map<string, string>();
  let hash: string | undefined;

  const byPeer = (peerId: string): Entry | undefined => {
    const engineId = engineOf.get(peerId);
    return engineId === undefined ? undefined : byEngine.get(engineId);
  };
  const remove = (entry: Entry): void => {
    hash = undefined;
    byEngine.delete(entry.signed.record.engineId);
    engineOf.delete(entry.signed.record.peerId);
  };
  const put = (signed: SignedRecord, state: EntryState, at: Moment): Entry => {
    const before = byEngine.get(signed.record.engineId);
    if (before !== undefined) remove(before);
    // One identity on two engines (a copied data folder): the newer record keeps the name, the other is gone.
    const namesake = byPeer(signed.record.peerId);
    if (namesake !== undefined) remove(namesake);
    const entry = { signed, state, sinceMs: at.nowMs, sinceWallMs: at.wallMs };
    byEngine.set(signed.record.engineId, entry);
    engineOf.set(signed.record.peerId, signed.record.engineId);
    hash = undefined;
    return entry;
  };
  const applyRecord = (signed: SignedRecord, claimed: EntryState, at: Moment): Entry | undefined => {
    const current = byEngine.get(signed.record.engineId);
    const state = decideRecord(current, signed);
    if (state === undefined) return undefined;
    // The same identity is known on another engine with a newer start: this record is what that one left behind.
    const namesake = byPeer(signed.record.peerId);
    if (
      namesake !== undefined &&
      namesake !== current &&
      namesake.signed.record.generation > signed.record.generation
    ) {
      return undefined;
    }
    if (current === undefined && byEngine.size >= maxMembers) {
      const evicted = chooseEviction(byEngine.values());
      if (evicted === undefined) return undefined;
      remove(evicted);
    }
    return put(signed, state === 'left' ? state : claimed, at);
  };
  const applyClaim = (claim: Claim, state: 'suspect' | 'dead', at: Moment): Entry | undefined => {
    const entry = byPeer(claim.peerId);
    const next = entry === undefined ? undefined : decideClaim(entry, claim, state);
    return entry === undefined || next === undefined ? undefined : put(entry.signed, next, at);
  };
  const expire = (nowMs: number): boolean => {
    const old = [...byEngine.values()].filter((entry) => isForgotten(entry, nowMs));
    const dead = [...byEngine.values()].filter((entry) => entry.state === 'dead');
    dead.sort((a, b) => b.sinceMs - a.sinceMs);
    const gone = new Set([...old, ...dead.slice(maxDead)]);
    for (const entry of gone) remove(entry);
    return gone.size > 0;
  };
  return {
    get: (engineId) => byEngine.get(engineId),
    byPeer,
    entries: () => byEngine.values(),
    live: () => [...byEngine.values()].filter(isLive).map((entry) => entry.signed.record.peerId),
    applyRecord,
    applyClaim,
    expire,
    hash: () => {
      hash ??= hashMembers(byEngine.values());
      return hash;
    },
    toLines: (nowMs) => [...byEngine.values()].map((entry) => toLine(entry, nowMs)),
  };
}

function toLine(entry: Entry, nowMs: number): StateLine {
  const { text, signature } = entry.signed;
  const ageMs = Math.min(Math.max(0, Math.round(nowMs - entry.sinceMs)), deadMemoryMs);
  return { text, signature, state: entry.state, ageMs };
}
