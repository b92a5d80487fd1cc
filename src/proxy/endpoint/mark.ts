// Finds the container or image that a `before` or `since` filter names, over the whole cluster, and when it was made.

import { type Answer, dockerError } from '../../exchange.ts';
import { admit } from '../owner/admit.ts';
import type { Lookup } from '../owner/lookup.ts';
import type { FoundOwner } from '../owner/rank.ts';
import { parseObject } from './exact-json.ts';
import type { LookupMark } from './lists.ts';
import type { Mark } from './lists-merge.ts';

export interface MarkNeeds {
  readonly lookup: Lookup;
  readonly now: () => number;
}

export function createMarkLookup({ lookup, now }: MarkNeeds): LookupMark {
  return async (resource, name, call) => {
    // What is known from memory has no date.
    lookup.forget(name);
    const found = await lookup.find(resource, name, call);
    const admitted = admit(found, {
      resource,
      name,
      method: 'GET',
      path: call.target.path,
      nowMs: now(),
    });
    if (admitted.kind === 'answer') return admitted.answer;
    const mark = found.kind === 'found' ? markOf(resource, found) : undefined;
    return mark ?? undated(resource, name);
  };
}

function markOf(resource: 'container' | 'image', found: FoundOwner): Mark | undefined {
  const created = found.inspect === undefined ? undefined : parseObject(found.inspect.body)?.Created;
  const createdMs = typeof created === 'string' ? Date.parse(created) : Number.NaN;
  if (Number.isNaN(createdMs)) return undefined;
  const { id, member, holders } = found;
  if (resource === 'container') return { members: [member], id, name: id, createdMs };
  // A tag may be another image on each holder, and each filters by its own; an id may have no tag on some.
  const byId = found.by === 'id' || found.by === 'prefix';
  return { members: holders.map((holder) => holder.member), id, name: byId ? id : found.name, createdMs };
}

function undated(resource: string, name: string): Answer {
  return dockerError(502, `flotilla: the engine does not say when ${resource} ${name} was created`);
}
