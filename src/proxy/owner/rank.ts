// Decides which member a name belongs to, over the whole cluster as one engine would rank it (engine-api.md 1.5): exact
// id, exact name, unique prefix. Pure.

import type { Member } from '../../cluster/cluster.ts';
import { missingNodeOf } from '../endpoint/settle.ts';
import type { NodeOutcome } from '../fan-out.ts';
import type { MissingNode } from '../missing-header.ts';
import type { FetchedPart } from '../proxy.ts';
import type { OwnedResource } from '../routes/route.ts';
import { type Claim, claimOf, type Holding, type Rank } from './claim.ts';

export interface Holder {
  readonly member: Member;
  /** The full id; of a volume the name. */
  readonly id: string;
  /** Without slash in front; of an image the tag that was asked for, or its first. */
  readonly name: string;
}

interface Asked {
  /** How many members the name was or should have been asked of. */
  readonly asked: number;
  /** Those of which it is not known what they have. */
  readonly unasked: readonly MissingNode[];
}

export interface FoundOwner extends Asked, Holder {
  readonly kind: 'found';
  /** By `node` where the client named it in front. */
  readonly by: 'id' | 'name' | 'prefix' | 'node';
  /** The owner's answer to the inspect; undefined where the owner was known without asking. */
  readonly inspect: FetchedPart | undefined;
  /** All that hold it, the chosen one first: images, and what exists once for the whole swarm. */
  readonly holders: readonly Holder[];
  /** The holders' images of this name have different ids. */
  readonly conflict: boolean;
}

export type Found =
  | FoundOwner
  /** Without an answer either nobody could be asked, or nothing can have that name at all. */
  | (Asked & { readonly kind: 'none'; readonly answer?: FetchedPart })
  | (Asked & {
      readonly kind: 'several';
      readonly by: 'id' | 'name' | 'prefix';
      readonly candidates: readonly Holder[];
      /** Nodes that have several of their own. */
      readonly ambiguousOn: readonly string[];
      /** What an engine itself said to it. */
      readonly answer?: FetchedPart;
    });

interface Answered {
  readonly found: NodeOutcome;
  readonly claim: Claim;
}

interface Candidate extends Holder {
  readonly holding: Holding;
  readonly inspect: FetchedPart;
}

export function decideOwner(
  resource: OwnedResource,
  name: string,
  outcomes: readonly NodeOutcome[],
  nowMs: number,
): Found {
  const answered = outcomes.map((found) => ({ found, claim: claimOf(resource, name, found) }));
  for (const rank of ['exact-id', 'exact-name', 'prefix'] as const) {
    const candidates = answered.flatMap((each) => candidatesOf(each, rank));
    const ambiguous = answered.filter(({ claim }) => claim.kind === 'ambiguous' && claim.rank === rank);
    if (candidates.length + ambiguous.length === 0) continue;
    const asked = { asked: outcomes.length, unasked: unaskedOf(answered, isUnheard, nowMs) };
    return { ...asked, ...decideRank(resource, rank, candidates, ambiguous) };
  }
  return noneOf(answered, nowMs);
}

function candidatesOf({ found: { member, outcome }, claim }: Answered, rank: Rank): Candidate[] {
  if (claim.kind !== 'holds' || claim.rank !== rank) return [];
  if (member === undefined || outcome.kind === 'missing') return [];
  return [{ member, id: claim.id, name: claim.name, holding: claim, inspect: outcome.part }];
}

type Decided<T> = T extends Asked ? Omit<T, keyof Asked> : never;

function decideRank(
  resource: OwnedResource,
  rank: Rank,
  candidates: readonly Candidate[],
  ambiguous: readonly Answered[],
): Decided<Found> {
  const by = byRank[rank];
  const ordered = candidates.toSorted(
    (a, b) => preference(resource, a.member) - preference(resource, b.member),
  );
  const holders = ordered.map(toHolder);
  const [first] = ordered;
  const [chosen] = holders;
  // A tag may mean different images on different nodes: each is right where it is.
  const conflict = resource === 'image' && rank === 'exact-name' && !isOneThing(ordered);
  if (first !== undefined && chosen !== undefined && ambiguous.length === 0) {
    if (conflict || isOneThing(ordered))
      return { kind: 'found', ...chosen, by, inspect: first.inspect, holders, conflict };
  }
  const ambiguousOn = ambiguous.map(({ found }) => found.node);
  // Told to people: in the order of the view, which round trips do not change.
  const several = { kind: 'several', by, candidates: candidates.map(toHolder), ambiguousOn } as const;
  const own = ambiguous[0]?.found.outcome;
  return own?.kind === 'answer' ? { ...several, answer: own.part } : several;
}

function toHolder({ member, id, name }: Candidate): Holder {
  return { member, id, name };
}

const byRank = { 'exact-id': 'id', 'exact-name': 'name', prefix: 'prefix' } as const;

function isOneThing(candidates: readonly Candidate[]): boolean {
  const identities = new Set(candidates.map(({ holding }) => holding.identity));
  return candidates.length === 1 || (identities.size === 1 && !identities.has(undefined));
}

/** The lowest is asked, of those that have the same. */
function preference(resource: OwnedResource, member: Member): number {
  const { self, state, record, rttMs } = member;
  const isManager = record.role === 'manager';
  // What a manager says of the swarm's own things is complete: a worker knows a network only while a task uses it.
  const near = self ? 0 : state === 'suspect' ? 3 : 2;
  if (resource === 'network') return (isManager ? 0 : 10) + near - (record.leader ? 1 : 0);
  if (resource === 'volume') return near + (isManager ? 0 : 0.5);
  return near + Math.min(rttMs ?? longestRttMs, longestRttMs) / (longestRttMs + 1);
}

/** Nobody that takes longer is preferred to anybody; nor is one that was never probed from here. */
const longestRttMs = 60_000;

function noneOf(answered: readonly Answered[], nowMs: number): Found {
  const heard = answered.filter(({ claim }) => claim.kind !== 'unknown');
  // What all engines refuse is refused. Beside one that took the name, a refusal says nothing of what is there.
  const isRefused = heard.every(({ claim }) => claim.kind === 'refused');
  const speakers = isRefused ? heard : heard.filter(({ claim }) => claim.kind === 'none');
  const speaker = speakers.find(({ found }) => found.member?.self === true) ?? speakers[0];
  const unasked = unaskedOf(answered, isRefused ? isUnknown : isUnheard, nowMs);
  const none = { kind: 'none', asked: answered.length, unasked } as const;
  const outcome = speaker?.found.outcome;
  return outcome?.kind === 'answer' ? { ...none, answer: outcome.part } : none;
}

function isUnknown({ claim }: Answered): boolean {
  return claim.kind === 'unknown';
}

function isUnheard({ claim }: Answered): boolean {
  return claim.kind === 'unknown' || claim.kind === 'refused';
}

function unaskedOf(
  answered: readonly Answered[],
  isUnasked: (one: Answered) => boolean,
  nowMs: number,
): readonly MissingNode[] {
  return answered.filter(isUnasked).map(({ found }) => missingNodeOf(found, nowMs));
}
