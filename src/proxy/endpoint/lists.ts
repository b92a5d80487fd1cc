// Answers the lists of the cluster socket: containers, images, volumes and networks of all nodes as one engine would list
// them. Identical lists asked for at the same time share one answer, which is never older than their requests.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import type { Answer } from '../../exchange.ts';
import type { Breakers } from '../breakers.ts';
import type { ListKind } from '../classify.ts';
import { laneDefaults } from '../lanes.ts';
import type { OwnPart } from '../lists.ts';
import { jsonHeaders } from '../merge.ts';
import type { FetchedPart, FetchLimits, ListForm, ProxyRequest } from '../proxy.ts';
import { countsBytes } from '../query.ts';
import { createSerials } from '../serials.ts';
import { createSingleFlight } from '../single-flight.ts';
import { type Ask, type AskOptions, createAsk } from './ask.ts';
import type { EndpointCall, Handler } from './call.ts';
import { composeProjectOf, refuseScattered } from './compose-project.ts';
import { forwardQuery, type ListQuery, parseListQuery } from './filters.ts';
import type { Mark } from './lists-merge.ts';
import { type ScannedPart, scanParts } from './lists-parts.ts';
import { changeFor, type Marks } from './lists-plan.ts';
import { writeList } from './lists-write.ts';
import { settle } from './settle.ts';
import { mergeVersion } from './versions.ts';

export interface EndpointListsNeeds {
  /** This node's part, its items labelled. */
  readonly ownPart: OwnPart;
  /** The same of another member. */
  readonly memberPart: (
    member: Member,
    request: ProxyRequest,
    limits: FetchLimits,
    form: ListForm,
  ) => Promise<FetchedPart>;
  readonly breakers: Breakers;
  readonly lookup: LookupMark;
  readonly now: () => number;
}

/** Where that is what a filter names, and when it was made; or what to tell the client. */
export type LookupMark = (
  resource: 'container' | 'image',
  name: string,
  call: EndpointCall,
) => Promise<Mark | Answer>;

export type EndpointLists = Readonly<Record<ListKind, Handler>>;

export function createEndpointLists(needs: EndpointListsNeeds, options: AskOptions): EndpointLists {
  const flights = createSingleFlight<Answer>(laneDefaults);
  const serialOf = createSerials<ClusterView>();

  const handlerOf = (kind: ListKind): Handler => {
    const ask = createAsk(
      {
        engine: (request, limits) => needs.ownPart(kind, 'label', request, limits),
        member: (member, request, limits) => needs.memberPart(member, request, limits, 'label'),
        breakers: needs.breakers,
        now: needs.now,
      },
      options,
    );
    return (call) => {
      const { view, target, strict, signal, rawHeaders } = call;
      const query = parseListQuery(target.query);
      const project = kind === 'containers' ? composeProjectOf(query, rawHeaders) : undefined;
      // Whoever asks in the same words and is not Compose, gets the list.
      const key = `${kind} ${serialOf(view)} ${strict} ${target.version} ${target.query} ${project ?? ''}`;
      const listing: Listing = { needs, kind, ask, project };
      return flights.run(key, (shared) => list(listing, { ...call, signal: shared }, query), signal);
    };
  };
  return {
    containers: handlerOf('containers'),
    images: handlerOf('images'),
    volumes: handlerOf('volumes'),
    networks: handlerOf('networks'),
  };
}

/** What the lists of one kind have in common. */
interface Listing {
  readonly needs: EndpointListsNeeds;
  readonly kind: ListKind;
  readonly ask: Ask;
  /** Asked for by Compose, which takes all that it is listed for its own. */
  readonly project: string | undefined;
}

async function list(listing: Listing, call: EndpointCall, query: ListQuery): Promise<Answer> {
  const resource = marked[listing.kind];
  if (resource === undefined || (query.before === undefined && query.since === undefined)) {
    return listWith(listing, call, query, {});
  }
  const find = async (name: string | undefined): Promise<Mark | Answer | undefined> =>
    name === undefined ? undefined : listing.needs.lookup(resource, name, call);
  const [before, since] = await Promise.all([find(query.before), find(query.since)]);
  if (isAnswer(before)) return wordsOfEngine(listing, call, query, before);
  if (isAnswer(since)) return wordsOfEngine(listing, call, query, since);
  return listWith(listing, call, query, { before, since });
}

/** Lists with the filters `before` and `since`, and what these name. */
const marked: Readonly<Partial<Record<ListKind, 'container' | 'image'>>> = {
  containers: 'container',
  images: 'image',
};

function isAnswer(found: Mark | Answer | undefined): found is Answer {
  return found !== undefined && 'status' in found;
}

/** What nobody has, the local engine has not either, and it says so in the words that its clients know. */
async function wordsOfEngine(
  { ask, kind }: Listing,
  call: EndpointCall,
  query: ListQuery,
  otherwise: Answer,
): Promise<Answer> {
  if (otherwise.status !== 404) return otherwise;
  const [own] = await ask(call, {
    to: (member) => requestFor(kind, call, member, forwardQuery(query)),
    pace: 'list',
    only: (nodeName) => nodeName === call.view.self.record.nodeName,
  });
  if (own?.outcome.kind !== 'answer' || own.outcome.part.status < 400) return otherwise;
  const { status, body } = own.outcome.part;
  return { status, headers: jsonHeaders, body };
}

async function listWith(
  { needs, kind, ask, project }: Listing,
  call: EndpointCall,
  query: ListQuery,
  marks: Marks,
): Promise<Answer> {
  const only = onlyOf(query, call.view);
  const outcomes = await ask(call, {
    to: (member) => requestFor(kind, call, member, forwardQuery(query, changeFor(member, marks))),
    pace: countsBytes(call.target.query) ? 'slow' : 'list',
    only: only.asked,
  });
  const scanned = scanParts(kind, outcomes);
  const settled = settle(outcomes, {
    strict: call.strict,
    nowMs: needs.now(),
    isPart: (part) => scanned.has(part),
  });
  if (settled.kind === 'answer') return settled.answer;
  const parts = settled.parts.flatMap(({ member, part }): ScannedPart[] => {
    const found = scanned.get(part);
    return found === undefined || !only.listed ? [] : [{ ...found, member }];
  });
  const refused = project === undefined ? undefined : refuseScattered(project, parts);
  if (refused !== undefined) return { ...refused, headers: [...refused.headers, ...settled.headers] };
  return {
    status: 200,
    headers: [...jsonHeaders, ...settled.headers],
    body: writeList(kind, parts, { ...marks, limit: query.limit }),
  };
}

/**
 * Whom the filter `node` wants. A node that does not exist has nothing, as everywhere in Docker; the own engine is asked
 * nevertheless, because it may have something to say against the other filters.
 */
function onlyOf(
  { nodes }: ListQuery,
  { self, members, missing }: ClusterView,
): { readonly asked: (nodeName: string) => boolean; readonly listed: boolean } {
  if (nodes === undefined) return { asked: () => true, listed: true };
  const exists =
    members.some(({ record }) => nodes.has(record.nodeName)) ||
    missing.some(({ nodeName }) => nodes.has(nodeName));
  return exists
    ? { asked: (nodeName) => nodes.has(nodeName), listed: true }
    : { asked: (nodeName) => nodeName === self.record.nodeName, listed: false };
}

/** No header of the client changes what an engine lists, so that none is sent. */
function requestFor(kind: ListKind, call: EndpointCall, member: Member, query: string): ProxyRequest {
  const version = mergeVersion(call.view, member, call.target.version?.slice(1));
  const prefix = version === undefined ? '' : `/v${version}`;
  return { method: 'GET', path: `${prefix}${pathOf[kind]}${query}`, rawHeaders: [] };
}

const pathOf: Readonly<Record<ListKind, string>> = {
  containers: '/containers/json',
  images: '/images/json',
  volumes: '/volumes',
  networks: '/networks',
};
