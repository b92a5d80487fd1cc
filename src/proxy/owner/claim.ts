// What the answer of one node's engine to an inspect says about a name. Pure.
// An engine ranks by itself (engine-api.md 1.5): what it found tells by which of its ranks it did.

import type { NodeOutcome } from '../fan-out.ts';
import type { FetchedPart } from '../proxy.ts';
import type { OwnedResource } from '../routes/route.ts';

/** In the order in which an engine prefers them. */
export type Rank = 'exact-id' | 'exact-name' | 'prefix';

export interface Holding {
  readonly kind: 'holds';
  readonly rank: Rank;
  /** The full id; of a volume the name. */
  readonly id: string;
  readonly name: string;
  /** Equal on all nodes that hold the very same thing. Undefined for what exists on one node only. */
  readonly identity: string | undefined;
}

export type Claim =
  | Holding
  /** The engine itself has several of this rank, and does not say which. */
  | { readonly kind: 'ambiguous'; readonly rank: Rank }
  | { readonly kind: 'none' }
  /** No engine can have something of that name, as this one sees it. */
  | { readonly kind: 'refused' }
  /** Nothing is known of what is there. */
  | { readonly kind: 'unknown' };

export function claimOf(resource: OwnedResource, name: string, { outcome }: NodeOutcome): Claim {
  if (outcome.kind === 'missing') return unknown;
  const { part } = outcome;
  if (part.status === 200) return holdingOf(resource, name, part) ?? unknown;
  const ambiguous = ambiguityOf(part);
  if (ambiguous !== undefined) return ambiguous;
  if (part.status === 404) return { kind: 'none' };
  return part.status === 400 ? { kind: 'refused' } : unknown;
}

const unknown: Claim = { kind: 'unknown' };

/** Engines have used several statuses for it, 500 among them: only the words tell. */
function ambiguityOf(part: FetchedPart): Claim | undefined {
  const message = messageOf(part);
  if (message === undefined || !/\bambiguous\b|multiple (?:ids|images)\b/i.test(message)) return undefined;
  // "network x is ambiguous (2 matches found on name)"
  return {
    kind: 'ambiguous',
    rank: /matches found (?:based )?on name/.test(message) ? 'exact-name' : 'prefix',
  };
}

/** What an engine says in an error. */
export function messageOf({ body }: FetchedPart): string | undefined {
  const message = fieldsOf(body)?.message;
  return typeof message === 'string' ? message : undefined;
}

function holdingOf(resource: OwnedResource, asked: string, part: FetchedPart): Holding | undefined {
  const fields = fieldsOf(part.body);
  if (fields === undefined) return undefined;
  switch (resource) {
    case 'container':
      return containerOf(asked, fields);
    case 'exec':
      return execOf(fields);
    case 'image':
      return imageOf(asked, fields);
    case 'volume':
      return volumeOf(asked, fields);
    case 'network':
      return networkOf(asked, fields);
  }
}

function containerOf(asked: string, fields: Fields): Holding | undefined {
  const id = textOf(fields.ID ?? fields.Id);
  const name = textOf(fields.Name)?.replace(/^\//, '');
  if (id === undefined || name === undefined) return undefined;
  return { kind: 'holds', rank: rankOf(asked, id, [name]), id, name, identity: undefined };
}

function execOf(fields: Fields): Holding | undefined {
  const id = textOf(fields.ID ?? fields.Id);
  if (id === undefined) return undefined;
  return { kind: 'holds', rank: 'exact-id', id, name: id, identity: undefined };
}

function imageOf(asked: string, fields: Fields): Holding | undefined {
  const id = textOf(fields.Id);
  if (id === undefined) return undefined;
  const tags = Array.isArray(fields.RepoTags) ? fields.RepoTags.filter((tag) => typeof tag === 'string') : [];
  const names = tags.flatMap((tag) => [tag, tag.replace(/:latest$/, '')]);
  const rank = rankOf(withoutAlgorithm(asked), withoutAlgorithm(id), names);
  // `sha256:abc` is also how tag `abc` of an image called sha256 is written.
  const isTag = rank === 'prefix' && names.includes(asked);
  const isId = rank === 'exact-id' || rank === 'prefix';
  const name = isId && !isTag ? (tags[0] ?? id) : asked;
  return { kind: 'holds', rank: isTag ? 'exact-name' : rank, id, name, identity: id };
}

function volumeOf(asked: string, fields: Fields): Holding | undefined {
  const name = textOf(fields.Name);
  if (name === undefined) return undefined;
  const clusterId = isFields(fields.ClusterVolume) ? textOf(fields.ClusterVolume.ID) : undefined;
  const rank = clusterId === undefined ? 'exact-name' : rankOf(asked, clusterId, [name]);
  const shared = fields.Scope === 'global' ? `${textOf(fields.Driver)}/${name}` : undefined;
  return { kind: 'holds', rank, id: name, name, identity: clusterId ?? shared };
}

function networkOf(asked: string, fields: Fields): Holding | undefined {
  const id = textOf(fields.Id);
  const name = textOf(fields.Name);
  if (id === undefined || name === undefined) return undefined;
  const identity = fields.Scope === 'swarm' || fields.Scope === 'global' ? id : undefined;
  return { kind: 'holds', rank: rankOf(asked, id, [name]), id, name, identity };
}

/** An engine also knows names that an inspect does not show, such as the aliases of links. */
function rankOf(asked: string, id: string, names: readonly string[]): Rank {
  if (asked === id) return 'exact-id';
  return !names.includes(asked) && id.startsWith(asked) ? 'prefix' : 'exact-name';
}

function withoutAlgorithm(id: string): string {
  return id.startsWith('sha256:') ? id.slice('sha256:'.length) : id;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(body: Buffer): Fields | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    return isFields(value) ? value : undefined;
  } catch {
    // No JSON says nothing about the name; the caller takes it for unknown.
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
