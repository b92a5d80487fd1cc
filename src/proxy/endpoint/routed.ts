// Takes a request to the node that its path, its query or its body names, or to the node at which something is to be made.
// What is looked up by name goes on under that name: the owner has the last word on what it is called now.

import type { Member } from '../../cluster/cluster.ts';
import { type Answer, readBody } from '../../exchange.ts';
import type { Cargo } from '../carry.ts';
import { type Admission, admit } from '../owner/admit.ts';
import type { Lookup } from '../owner/lookup.ts';
import { splitNode } from '../owner/name.ts';
import type { Found, FoundOwner } from '../owner/rank.ts';
import { versioned } from '../proxy.ts';
import { hasBody } from '../relay.ts';
import type { OwnedResource } from '../routes/route.ts';
import type { EndpointCall } from './call.ts';
import type { RoutedRequest } from './endpoint.ts';
import { containerOf, placementOf, withContainer } from './placement.ts';
import { filledPath, withQueryValue } from './rewrite.ts';
import { memberNamed } from './target-node.ts';

export interface RoutedNeeds {
  readonly lookup: Lookup;
  /** The record of a swarm-wide network with the endpoints of all nodes. */
  readonly inspectNetwork: (call: EndpointCall, found: FoundOwner) => Promise<Answer>;
  /** A node that has all images of the query. */
  readonly holderOfImages: (call: EndpointCall) => Promise<Admission>;
  /** Creates a container where another node has one of the same name, and warns of it. */
  readonly createNamesake: (
    call: EndpointCall,
    member: Member,
    body: Buffer,
    namesakes: readonly string[],
  ) => Promise<Answer>;
  readonly now: () => number;
}

/** A create request with thousands of mounts, labels and environment variables stays far below this. */
export const maxCreateBytes: number = 4_194_304;

export function createRouted(needs: RoutedNeeds): (routed: RoutedRequest) => Promise<void> {
  return async (routed) => {
    const { where, call } = routed;
    switch (where.kind) {
      case 'owner':
        await toOwner(needs, routed, where.resource, where.param);
        break;
      case 'owner-in-query':
        await toOwnerInQuery(needs, routed, where.resource, where.param);
        break;
      case 'owner-in-body':
        await toOwnerInBody(needs, routed);
        break;
      case 'images-in-query':
        settle(routed, await needs.holderOfImages(call), (member) => routed.go(member));
        break;
      case 'create':
        await create(needs, routed, where.what);
    }
  };
}

async function toOwner(
  needs: RoutedNeeds,
  routed: RoutedRequest,
  resource: OwnedResource,
  param: string,
): Promise<void> {
  const { call, cargo, match } = routed;
  const name = call.params[param] ?? '';
  // A body cannot be sent twice, so that what memory says is asked again before one is taken.
  if (cargo.exchange.kind === 'upgrade' || hasBody(cargo.exchange.req)) needs.lookup.forget(name);
  const found = await needs.lookup.find(resource, name, call);
  if (resource === 'network' && call.method === 'GET' && found.kind === 'found') {
    routed.reply(await needs.inspectNetwork(call, found));
    return;
  }
  if (isNowhere(found) && resource === 'image' && splitNode(name, call.view) === undefined) {
    // What an engine says of an image that it does not have differs from route to route.
    routed.go(call.view.self);
    return;
  }
  settle(routed, admission(needs, call, resource, name, found), (member, rename) => {
    const path = rename === undefined ? undefined : filledPath(match, { ...call.params, [param]: rename });
    const sent = withPath(named(cargo, member, found), call, path);
    if (!isFromMemory(found)) routed.go(member, sent);
    else routed.go(member, { ...sent, decline: { status: 404, onDeclined: () => askAgain() } });
  });

  function askAgain(): void {
    needs.lookup.forget(name);
    toOwner(needs, routed, resource, param).catch((error: unknown) => routed.failed(error));
  }
}

/** Everybody was asked, and nobody has it. */
function isNowhere(found: Found): boolean {
  return found.kind === 'none' && found.unasked.length === 0 && found.answer?.status === 404;
}

function isFromMemory(found: Found): boolean {
  return found.kind === 'found' && found.inspect === undefined;
}

async function toOwnerInQuery(
  needs: RoutedNeeds,
  routed: RoutedRequest,
  resource: OwnedResource,
  param: string,
): Promise<void> {
  const { call, cargo } = routed;
  const name = new URLSearchParams(call.target.query).get(param) ?? '';
  if (name === '') {
    // The engine says what is missing.
    routed.go(call.view.self);
    return;
  }
  needs.lookup.forget(name);
  const found = await needs.lookup.find(resource, name, call);
  settle(routed, admission(needs, call, resource, name, found), (member, rename) => {
    const query = rename === undefined ? call.target.query : withQueryValue(call.target.query, param, rename);
    routed.go(member, {
      ...named(cargo, member, found),
      request: { ...cargo.request, path: versioned({ ...call.target, query }) },
    });
  });
}

async function toOwnerInBody(needs: RoutedNeeds, routed: RoutedRequest): Promise<void> {
  const { call, cargo } = routed;
  const body = await readBody(cargo.exchange, maxCreateBytes);
  const name = containerOf(body);
  if (name === undefined) {
    routed.go(call.view.self, { ...cargo, body });
    return;
  }
  needs.lookup.forget(name);
  const found = await needs.lookup.find('container', name, call);
  if (isNowhere(found) && splitNode(name, call.view) === undefined) {
    // By force an engine lets go of the endpoint of a container that is no more; otherwise it says so itself.
    routed.go(call.view.self, { ...cargo, body });
    return;
  }
  settle(routed, admission(needs, call, 'container', name, found), (member, rename) => {
    const sent = rename === undefined ? body : withContainer(body, rename);
    const carried = { ...named(cargo, member, found), body: sent };
    // A worker may not know the name of a network that none of its tasks uses; managers know its id (engine-api.md 2).
    const onDeclined = (): void => {
      byNetworkId(needs, routed, member, carried).catch((error: unknown) => routed.failed(error));
    };
    if (member.record.role === 'worker')
      routed.go(member, { ...carried, decline: { status: 404, onDeclined } });
    else routed.go(member, carried);
  });
}

async function byNetworkId(
  needs: RoutedNeeds,
  routed: RoutedRequest,
  member: Member,
  cargo: Cargo,
): Promise<void> {
  const { call, match } = routed;
  const network = await needs.lookup.find('network', call.params.id ?? '', call);
  const shared = network.kind === 'found' && network.member.record.engineId !== member.record.engineId;
  const path = shared ? filledPath(match, { ...call.params, id: network.id }) : undefined;
  routed.go(member, withPath(cargo, call, path));
}

async function create(
  needs: RoutedNeeds,
  routed: RoutedRequest,
  what: 'container' | 'volume' | 'network',
): Promise<void> {
  const { call, cargo } = routed;
  const body = await readBody(cargo.exchange, maxCreateBytes);
  const placement = placementOf(what, body);
  const sent = { ...cargo, body };
  if (placement.kind === 'manager') {
    routed.toManager(sent);
    return;
  }
  const place =
    placement.kind === 'here'
      ? ({ kind: 'member', member: call.view.self } as const)
      : memberNamed(placement.nodeName, call.view);
  if (place.kind === 'answer') {
    routed.reply(place.answer);
    return;
  }
  const namesakes = what === 'container' ? await namesakesOf(needs, call, place.member) : [];
  if (namesakes.length === 0) routed.go(place.member, sent);
  else routed.reply(await needs.createNamesake(call, place.member, body, namesakes));
}

/** Other nodes that have a container of the name that this one is to have. Docker allows it; whoever does it should know. */
async function namesakesOf(
  { lookup }: RoutedNeeds,
  call: EndpointCall,
  member: Member,
): Promise<readonly string[]> {
  const name = new URLSearchParams(call.target.query).get('name') ?? '';
  if (name === '' || call.view.members.length === 1) return [];
  const found = await lookup.find('container', name, call);
  if (found.kind === 'none' || found.by !== 'name') return [];
  const holders = found.kind === 'found' ? found.holders : found.candidates;
  return holders
    .filter((holder) => holder.member.record.engineId !== member.record.engineId)
    .map((holder) => holder.member.record.nodeName);
}

function admission(
  { now }: RoutedNeeds,
  { method, target }: EndpointCall,
  resource: OwnedResource,
  name: string,
  found: Found,
): Admission {
  return admit(found, { resource, name, method, path: target.path, nowMs: now() });
}

function settle(
  { reply }: RoutedRequest,
  admitted: Admission,
  go: (member: Member, rename: string | undefined) => void,
): void {
  if (admitted.kind === 'answer') reply(admitted.answer);
  else go(admitted.member, admitted.rename);
}

/** Says which node answers and, of an image that is another one elsewhere, where. */
function named(cargo: Cargo, member: Member, found: Found): Cargo {
  if (found.kind !== 'found' || !found.conflict) return cargo;
  const others = found.holders.filter((holder) => holder.id !== found.id);
  const conflict = others.map((holder) => encodeURIComponent(holder.member.record.nodeName)).join(', ');
  const added = ['Flotilla-Node', encodeURIComponent(member.record.nodeName), 'Flotilla-Conflict', conflict];
  return { ...cargo, answerHeaders: [...cargo.answerHeaders, ...added] };
}

function withPath(cargo: Cargo, { target }: EndpointCall, rawPath: string | undefined): Cargo {
  if (rawPath === undefined) return cargo;
  return { ...cargo, request: { ...cargo.request, path: versioned({ ...target, rawPath }) } };
}
