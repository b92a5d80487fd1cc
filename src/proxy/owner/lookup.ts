// Finds the member that has what a client names: a full id of a container or exec from memory, from here, or from all at
// once; everything else by asking all. Names are never remembered, so an answer is always younger than its question.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { portainerHeaders } from '../../wire.ts';
import type { Ask } from '../endpoint/ask.ts';
import type { EndpointCall } from '../endpoint/call.ts';
import { mergeVersion } from '../endpoint/versions.ts';
import type { NodeOutcome } from '../fan-out.ts';
import type { ProxyRequest } from '../proxy.ts';
import type { OwnedResource } from '../routes/route.ts';
import { createKnownOwners } from './known-owners.ts';
import { bareName, inspectPath, isAskable, isUniqueId, splitNode } from './name.ts';
import { decideOwner, type Found } from './rank.ts';

export interface LookupNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

export interface LookupOptions {
  /** Ids remembered, before the oldest is forgotten. */
  readonly maxKnownOwners: number;
}

/** What of a call a lookup looks at. Of the headers only the client's signature travels. */
export type LookupCall = Pick<EndpointCall, 'view' | 'signal' | 'rawHeaders' | 'target'>;

export interface Lookup {
  /** Rejects with `cancelled` when the client leaves, and never for an engine or member that fails. */
  find(resource: OwnedResource, name: string, call: LookupCall): Promise<Found>;
  /** The owner said that it does not have it (any more): the next lookup asks again. */
  forget(id: string): void;
  /** The member has just made a container or exec of this full id. */
  remember(id: string, member: Member): void;
}

export function createLookup(needs: LookupNeeds, options: LookupOptions): Lookup {
  const known = createKnownOwners(options.maxKnownOwners);

  const ask = (inquiry: Inquiry, name: string, view: ClusterView): Promise<readonly NodeOutcome[]> => {
    const { resource, call } = inquiry;
    const to = (member: Member): ProxyRequest => ({
      method: 'GET',
      path: inspectPath(
        resource,
        name,
        mergeVersion(call.view, member, call.target.version?.slice(1)),
        inquiry.scope,
      ),
      rawHeaders: inquiry.rawHeaders,
    });
    return needs.ask({ view, signal: call.signal }, { to, pace: 'list' });
  };
  const decide = ({ resource }: Inquiry, name: string, outcomes: readonly NodeOutcome[]): Found =>
    decideOwner(resource, name, outcomes, needs.now());

  const byUniqueId = async (inquiry: Inquiry, id: string): Promise<Found> => {
    const { view } = inquiry.call;
    const owner = known.find(id, view);
    if (owner !== undefined) return foundBefore(id, owner);
    const here = await ask(
      inquiry,
      id,
      only(view, ({ self }) => self),
    );
    const own = decide(inquiry, id, here);
    const found =
      own.kind === 'found' && own.by === 'id'
        ? own
        : decide(inquiry, id, [...here, ...(await ask(inquiry, id, withoutSelf(view)))]);
    if (found.kind === 'found') known.remember(found.id, found.member);
    return found;
  };

  const onNode = async (inquiry: Inquiry, node: string, name: string): Promise<Found> => {
    const place = only(inquiry.call.view, ({ record }) => record.nodeName === node, node);
    const found = decide(inquiry, name, await ask(inquiry, name, place));
    return found.kind === 'found' ? { ...found, by: 'node' } : found;
  };

  return {
    async find(resource, given, call): Promise<Found> {
      const name = bareName(resource, given);
      if (!isAskable(name)) return { kind: 'none', asked: 0, unasked: [] };
      const inquiry: Inquiry = { resource, call, scope: scopeOf(call), rawHeaders: signatureOf(call) };
      if (isUniqueId(resource, name)) return byUniqueId(inquiry, name);
      const split = splitNode(name, call.view);
      const onAll = async (): Promise<Found> => decide(inquiry, name, await ask(inquiry, name, call.view));
      if (split === undefined) return onAll();
      if (resource !== 'image') return onNode(inquiry, split.node, split.name);
      // `node/name` is a good repository, too: who has one called so means that.
      const [whole, part] = await Promise.all([onAll(), onNode(inquiry, split.node, split.name)]);
      return whole.kind === 'none' && part.kind !== 'none' ? part : whole;
    },
    forget: known.forget,
    remember: known.remember,
  };
}

/** One question, whoever it is asked of. */
interface Inquiry {
  readonly resource: OwnedResource;
  readonly call: LookupCall;
  /** Which of a local and a swarm-wide network of one name is meant. */
  readonly scope: string | undefined;
  readonly rawHeaders: readonly string[];
}

function foundBefore(id: string, member: Member): Found {
  const holder = { member, id, name: id };
  return {
    kind: 'found',
    ...holder,
    by: 'id',
    inspect: undefined,
    holders: [holder],
    conflict: false,
    asked: 0,
    unasked: [],
  };
}

/** The view of those members alone, and of the missing ones of that node name. */
function only(view: ClusterView, isMeant: (member: Member) => boolean, missingNode?: string): ClusterView {
  return {
    ...view,
    members: view.members.filter(isMeant),
    missing: view.missing.filter(({ nodeName }) => nodeName === missingNode),
  };
}

function withoutSelf(view: ClusterView): ClusterView {
  return { ...view, members: view.members.filter(({ self }) => !self) };
}

function scopeOf({ target }: LookupCall): string | undefined {
  return new URLSearchParams(target.query).get('scope') ?? undefined;
}

/** For members that verify it themselves. All else, registry credentials above all, is for the owner only. */
function signatureOf({ rawHeaders }: LookupCall): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (signatureNames.has(name.toLowerCase())) kept.push(name, rawHeaders[i + 1] ?? '');
  }
  return kept;
}

const signatureNames: ReadonlySet<string> = new Set([portainerHeaders.publicKey, portainerHeaders.signature]);
