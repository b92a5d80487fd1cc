// What the cluster endpoint believes of a cluster without a secret: there a record gives routing, never authority
// (design.md, Trust). Whoever takes part in the gossip could else make all clients speak an old API.

import type { ClusterView } from '../../cluster/cluster.ts';

/** A view in which nobody but this agent says what the cluster speaks. The same one for the same view. */
export function createUntrusting(): (view: ClusterView) => ClusterView {
  const seen = new WeakMap<ClusterView, ClusterView>();
  return (view) => {
    const known = seen.get(view);
    if (known !== undefined) return known;
    const { minApiVersion, apiVersion } = view.self.record;
    const members = view.members.map((member) =>
      member.self ? member : { ...member, record: { ...member.record, minApiVersion, apiVersion } },
    );
    const untrusting = { ...view, members };
    seen.set(view, untrusting);
    return untrusting;
  };
}
