// Creates a container of a name that another node has a container of, too. Docker allows it, because names belong to
// engines; but from then on the name alone is ambiguous, and the answer says so where clients show it.

import type { Member } from '../../cluster/cluster.ts';
import type { Answer } from '../../exchange.ts';
import { type FetchedPart, type PeerTransport, type Transport, versioned } from '../proxy.ts';
import type { EndpointCall } from './call.ts';

export interface NamesakeNeeds {
  readonly engine: Transport;
  readonly peer: PeerTransport;
}

export type CreateNamesake = (
  call: EndpointCall,
  member: Member,
  body: Buffer,
  nodes: readonly string[],
) => Promise<Answer>;

/** Creating a container copies the image's files into new volumes, which may take its time. */
const createTimeoutMs = 600_000;
/** An id, and warnings. */
const maxCreatedBytes = 1_048_576;

export function createNamesakeCreator({ engine, peer }: NamesakeNeeds): CreateNamesake {
  return async ({ target, rawHeaders, signal }, member, body, nodes) => {
    const transport = member.self ? engine : peer(member);
    const request = { method: 'POST', path: versioned(target), rawHeaders, body };
    const created = await transport.fetch(request, {
      signal,
      firstByteMs: createTimeoutMs,
      idleMs: createTimeoutMs,
      maxBytes: maxCreatedBytes,
    });
    return { status: created.status, headers: json, body: withWarning(created, member, nodes) };
  };
}

const json: readonly string[] = ['Content-Type', 'application/json'];

function withWarning(
  { status, body }: FetchedPart,
  member: Member,
  nodes: readonly string[],
): Buffer | string {
  if (status !== 201) return body;
  const created = JSON.parse(body.toString('utf8')) as { readonly Warnings?: readonly string[] | null };
  const warning =
    `flotilla: ${nodes.join(', ')} has a container of this name, too: ` +
    `the name alone is ambiguous now, ${member.record.nodeName}/<name> is not`;
  return `${JSON.stringify({ ...created, Warnings: [...(created.Warnings ?? []), warning] })}\n`;
}
