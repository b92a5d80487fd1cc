// Remembers which engine has a container or exec of a given full id. Such ids are random and never move, so what was
// found stays true until the thing is removed; then its engine says so itself.

import type { ClusterView, Member } from '../../cluster/cluster.ts';

/** Ids remembered; each takes some 150 bytes. */
export const maxKnownOwners: number = 16_384;

export interface KnownOwners {
  /** Undefined also when the owner is not here any more. */
  find(id: string, view: ClusterView): Member | undefined;
  remember(id: string, member: Member): void;
  forget(id: string): void;
}

export function createKnownOwners(maxIds: number = maxKnownOwners): KnownOwners {
  // id → engine id of its owner, the oldest first
  const known = new Map<string, string>();
  return {
    find(id, { members }): Member | undefined {
      const engineId = known.get(id);
      return engineId === undefined ? undefined : members.find(({ record }) => record.engineId === engineId);
    },
    remember(id, member): void {
      // A piece cut from a request's target would keep the whole target in memory: copied, it does not.
      known.set(Buffer.from(id, 'latin1').toString('latin1'), member.record.engineId);
      if (known.size <= maxIds) return;
      const [oldest] = known.keys();
      if (oldest !== undefined) known.delete(oldest);
    },
    forget(id): void {
      known.delete(id);
    },
  };
}
