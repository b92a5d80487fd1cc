// Chooses whose word counts where only one member's can. Pure.

import type { ClusterView, Member } from '../../cluster/cluster.ts';

/** The leader before other managers, those before this node, and this node before workers elsewhere. */
export function preferManagers<T extends { readonly member: Member }>(parts: readonly T[]): readonly T[] {
  return parts.toSorted((a, b) => standing(a.member) - standing(b.member));
}

function standing({ record, self }: Member): number {
  if (record.leader) return 0;
  if (record.role === 'manager') return 1;
  return self ? 2 : 3;
}

/** This node before others, then the nearest. */
export function preferNear<T extends { readonly member: Member }>(parts: readonly T[]): readonly T[] {
  return parts.toSorted((a, b) => distance(a.member) - distance(b.member));
}

function distance({ self, rttMs }: Member): number {
  // Not `Infinity`: the difference of two must be a number.
  return self ? -1 : (rttMs ?? Number.MAX_SAFE_INTEGER);
}

/** A view in which nobody but this node is asked, whatever others are called. */
export function onlySelf(view: ClusterView): ClusterView {
  return { ...view, members: [view.self], missing: [] };
}
