// Decides what becomes of a request whose resource was looked up: it goes to the owner, or is answered here. Pure.
// Nothing is guessed: several owners, or a change while somebody who may have the name is silent, are the client's to settle.

import type { Member } from '../../cluster/cluster.ts';
import { type Answer, dockerError } from '../../exchange.ts';
import { type MissingNode, missingHeaders } from '../missing-header.ts';
import type { FetchedPart } from '../proxy.ts';
import type { OwnedResource } from '../routes/route.ts';
import { messageOf } from './claim.ts';
import type { Found, FoundOwner, Holder } from './rank.ts';

export interface AdmitRequest {
  readonly resource: OwnedResource;
  /** As the client gave it. */
  readonly name: string;
  readonly method: string;
  /** Decoded, without version. */
  readonly path: string;
  readonly nowMs: number;
}

export type Admission =
  | {
      readonly kind: 'route';
      readonly member: Member;
      /** In the place of the name: what the owner itself knows it by. The name as it came when left out. */
      readonly rename?: string;
    }
  | { readonly kind: 'answer'; readonly answer: Answer };

export function admit(found: Found, request: AdmitRequest): Admission {
  switch (found.kind) {
    case 'found':
      return admitFound(found, request);
    case 'none':
      return { kind: 'answer', answer: noneAnswer(found, request) };
    case 'several':
      return { kind: 'answer', answer: severalAnswer(found, request) };
  }
}

function admitFound(found: FoundOwner, request: AdmitRequest): Admission {
  const { holders, unasked, by } = found;
  if (isChange(request)) {
    const isRemoval = request.method === 'DELETE' && request.resource === 'image';
    if (found.conflict || (isRemoval && holders.length > 1))
      return { kind: 'answer', answer: heldBySeveral(found, request) };
    if (unasked.length > 0 && by !== 'id') return { kind: 'answer', answer: unsure(found, request) };
  }
  const rename = renameOf(found, request);
  return { kind: 'route', member: found.member, ...(rename === undefined ? {} : { rename }) };
}

/** All but GET and HEAD, `wait`, which only watches; and the console that is a GET. */
function isChange({ resource, method, path }: AdmitRequest): boolean {
  if (method === 'GET' || method === 'HEAD') return path.endsWith('/attach/ws');
  return !(resource === 'container' && method === 'POST' && path.endsWith('/wait'));
}

/**
 * A prefix may get company on the owner before the request is there: a full id does not. But what an engine does with an
 * image depends on whether it was named by a tag or by its id.
 */
function renameOf({ by, id, name }: FoundOwner, { resource, name: given }: AdmitRequest): string | undefined {
  if (by === 'prefix') return id;
  if (by !== 'node') return undefined;
  return resource === 'image' ? given.slice(given.indexOf('/') + 1) : resource === 'volume' ? name : id;
}

function noneAnswer({ answer, asked, unasked }: Found & { kind: 'none' }, request: AdmitRequest): Answer {
  const { resource, name, nowMs } = request;
  const headers = missingHeaders(asked, unasked, nowMs);
  if (answer === undefined && unasked.length > 0) {
    const message = `flotilla: cannot look up ${resource} ${name}: no answer from ${inWords(unasked)}`;
    return withHeaders(dockerError(503, message, { missing: forPrograms(unasked) }), headers);
  }
  if (answer !== undefined && unasked.length === 0) return passed(answer, headers);
  // The engine's own words come first: there are clients that look for them.
  const said = (answer && messageOf(answer)) ?? `${notFoundWords[resource]}${name}`;
  if (unasked.length === 0) return withHeaders(dockerError(404, said), headers);
  const message = `${said} (flotilla: not asked: ${inWords(unasked)})`;
  return withHeaders(dockerError(answer?.status ?? 404, message, { missing: forPrograms(unasked) }), headers);
}

const notFoundWords: Readonly<Record<OwnedResource, string>> = {
  container: 'No such container: ',
  exec: 'No such exec instance: ',
  image: 'No such image: ',
  volume: 'no such volume: ',
  network: 'no such network: ',
};

function severalAnswer(found: Found & { kind: 'several' }, request: AdmitRequest): Answer {
  const { candidates, ambiguousOn, answer, asked, unasked } = found;
  const { resource, name } = request;
  const headers = missingHeaders(asked, unasked, request.nowMs);
  // One node that has several of its own is all there is: then it is as on one engine.
  if (candidates.length === 0 && ambiguousOn.length === 1 && answer !== undefined)
    return passed(answer, headers);
  const own = ambiguousOn.map((node) => `several on ${node}`);
  const said = [...candidates.map(pathOf), ...own].join(', ');
  const hint = predefinedNetworks.has(name) && resource === 'network' ? ` (${predefinedHint})` : '';
  const what =
    found.by === 'prefix'
      ? `Multiple IDs found with provided prefix: ${name}`
      : `${resource} ${name} is ambiguous`;
  const message = `flotilla: ${what}: ${said}${hint}; ${remedy(candidates[0])}`;
  return withHeaders(dockerError(409, message, { candidates: candidates.map(forProgram) }), headers);
}

const predefinedNetworks: ReadonlySet<string> = new Set(['bridge', 'host', 'none', 'docker_gwbridge']);
const predefinedHint = 'every engine has its own network of this name';

function heldBySeveral({ holders, asked, unasked }: FoundOwner, request: AdmitRequest): Answer {
  const { resource, name, nowMs } = request;
  const said = holders.map(pathOf).join(', ');
  const message = `flotilla: several nodes have ${resource} ${name}: ${said}; ${remedy(holders[0])}`;
  const answer = dockerError(409, message, { candidates: holders.map(forProgram) });
  return withHeaders(answer, missingHeaders(asked, unasked, nowMs));
}

function unsure({ unasked, asked, ...owner }: FoundOwner, request: AdmitRequest): Answer {
  const { resource, name, nowMs } = request;
  const fullId = resource === 'volume' ? '' : `, the full id ${owner.id}`;
  const message =
    `flotilla: ${resource} ${name} is on ${owner.member.record.nodeName}, but it is not known whether also on ` +
    `${inWords(unasked)}; ${remedy(owner)}${fullId}`;
  const answer = dockerError(503, message, {
    candidates: [forProgram(owner)],
    missing: forPrograms(unasked),
  });
  return withHeaders(answer, missingHeaders(asked, unasked, nowMs));
}

function remedy(example: Holder | undefined): string {
  const target = 'a target node (header X-PortainerAgent-Target)';
  return example === undefined ? `give ${target}` : `name one, such as ${pathOf(example)}, or give ${target}`;
}

function pathOf({ member, name }: Holder): string {
  return `${member.record.nodeName}/${name}`;
}

function inWords(unasked: readonly MissingNode[]): string {
  return unasked.map(({ node, reason }) => `${node} (${reason})`).join(', ');
}

function forProgram({ member, name, id }: Holder): Readonly<Record<string, string>> {
  return { node: member.record.nodeName, name, id };
}

function forPrograms(unasked: readonly MissingNode[]): readonly Readonly<Record<string, unknown>>[] {
  return unasked.map(({ node, reason, status }) => ({ node, reason, status }));
}

/** An engine's own answer, byte for byte. */
function passed({ status, rawHeaders, body }: FetchedPart, headers: readonly string[]): Answer {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type');
  const type = at === -1 ? ['Content-Type', 'application/json'] : rawHeaders.slice(at, at + 2);
  return { status, headers: [...type, ...headers], body };
}

function withHeaders(answer: Answer, headers: readonly string[]): Answer {
  return { ...answer, headers: [...answer.headers, ...headers] };
}
