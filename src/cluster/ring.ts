// Decides whom a member probes, whom it asks for help and whom it keeps a link to.
// Pure. All members with the same list come to the same ring, so each member is probed by its predecessors.

/** Each member is probed by so many others. Three see a death at once and leave two when one of them dies too. */
export const probedSuccessors = 3;
/** How many others are asked to probe a member that did not answer. */
export const indirectHelpers = 3;
/** Up to here every pair has a link; beyond, each member keeps successors and fingers. */
export const fullMeshMembers = 32;

/** The next members after `self` in the ring of ids, nearest first. `self` itself is never among them. */
export function successors(self: string, ids: Iterable<string>, count: number): readonly string[] {
  return ringAfter(self, ids).slice(0, count);
}

/**
 * Whom to keep a link to. In a large cluster the successors and the members at distance 2, 4, 8 … (Chord's fingers):
 * the graph stays connected and its diameter logarithmic, which gossipsub needs, for O(log n) sockets.
 */
export function linkTargets(self: string, ids: Iterable<string>): readonly string[] {
  const ring = ringAfter(self, ids);
  if (ring.length < fullMeshMembers) return ring;
  const distances = new Set<number>();
  for (let step = 1; step <= probedSuccessors; step++) distances.add(step);
  for (let step = 1; step < ring.length; step *= 2) distances.add(step);
  return [...distances].flatMap((distance) => ring[distance - 1] ?? []);
}

/** Members to ask for an indirect probe: random ones, neither the asker nor the target. */
export function chooseHelpers(candidates: readonly string[], random: () => number): readonly string[] {
  const pool = [...candidates];
  const chosen: string[] = [];
  while (chosen.length < indirectHelpers && pool.length > 0) {
    chosen.push(...pool.splice(Math.floor(random() * pool.length), 1));
  }
  return chosen;
}

function ringAfter(self: string, ids: Iterable<string>): readonly string[] {
  const sorted = [...new Set(ids)].filter((id) => id !== self).sort();
  const start = sorted.findIndex((id) => id > self);
  if (start <= 0) return sorted;
  return [...sorted.slice(start), ...sorted.slice(0, start)];
}
