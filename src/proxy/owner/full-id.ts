// Finds the member that has a container or exec of a given full id, for the compat listener: here first, then everyone
// at once. Full ids are random and never move, so what was found stays true for as long as the member is there.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import type { FetchLimits, PeerTransport, ProxyRequest, Transport } from '../proxy.ts';
import { createKnownOwners } from './known-owners.ts';

export interface OwnerNeeds {
  readonly view: () => ClusterView;
  readonly engine: Transport;
  readonly peer: PeerTransport;
}

/** An inspect answer is some 10 KiB; one with thousands of mounts and labels stays below this. */
const maxInspectBytes = 4 * 1024 * 1024;

export type FindOwner = (
  resource: 'containers' | 'exec',
  id: string,
  peerHeaders: readonly string[],
  signal: AbortSignal,
) => Promise<Member>;

/** Answers with the self member where nobody has it: the local engine's 404 is then the answer. */
export function createFindOwner(needs: OwnerNeeds, options: { readonly memberTimeoutMs: number }): FindOwner {
  const known = createKnownOwners();

  const remember = (id: string, member: Member): Member => {
    known.remember(id, member);
    return member;
  };

  return async (resource, id, peerHeaders, signal) => {
    const view = needs.view();
    const { self, members } = view;
    if (members.length === 1) return self;
    const owner = known.find(id, view);
    if (owner !== undefined) return owner;

    const limits: FetchLimits = {
      signal,
      firstByteMs: options.memberTimeoutMs,
      idleMs: options.memberTimeoutMs,
      maxBytes: maxInspectBytes,
    };
    const request: ProxyRequest = { method: 'GET', path: `/${resource}/${id}/json`, rawHeaders: peerHeaders };
    if (await has(needs.engine, request, limits)) return remember(id, self);
    const others = members.filter((member) => !member.self);
    const found = await Promise.all(others.map((member) => has(needs.peer(member), request, limits)));
    const holders = others.filter((_, index) => found[index]);
    const [only] = holders;
    return holders.length === 1 && only !== undefined ? remember(id, only) : self;
  };
}

/** A member that cannot be asked counts as not having it: on this listener the answer is then the local engine's own. */
async function has(transport: Transport, request: ProxyRequest, limits: FetchLimits): Promise<boolean> {
  try {
    return (await transport.fetch(request, limits)).status === 200;
  } catch {
    return false;
  }
}
