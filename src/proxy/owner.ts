// Finds the member that has a container or exec of a given full id: here first, then everyone at once.
// Full ids are random and never move, so what was found stays true for as long as the member is there.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import type { FetchLimits, PeerTransport, ProxyRequest, Transport } from './proxy.ts';

export interface OwnerNeeds {
  readonly view: () => ClusterView;
  readonly engine: Transport;
  readonly peer: PeerTransport;
}

/** Ids remembered; each takes some 150 bytes. */
export const maxKnownOwners: number = 16_384;
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
  // id → engine id of its owner
  const known = new Map<string, string>();

  const remember = (id: string, member: Member): Member => {
    known.set(id, member.record.engineId);
    if (known.size > maxKnownOwners) {
      const [oldest] = known.keys();
      if (oldest !== undefined) known.delete(oldest);
    }
    return member;
  };

  return async (resource, id, peerHeaders, signal) => {
    const { self, members } = needs.view();
    if (members.length === 1) return self;
    const engineId = known.get(id);
    const owner =
      engineId === undefined ? undefined : members.find((member) => member.record.engineId === engineId);
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
