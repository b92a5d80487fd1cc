// The cluster of an agent that was not told to cluster: itself, for ever. No listener, no gossip.

import type { Cluster, ClusterView, Member, MemberRecord } from './cluster.ts';

export function createLoneCluster(describe: () => MemberRecord): Cluster {
  let view: ClusterView | undefined;
  return {
    name: 'cluster',
    view(): ClusterView {
      const record = describe();
      // A new view only for a new record: callers may compare views by identity.
      if (view?.self.record === record) return view;
      const self: Member = { record, self: true, state: 'alive' };
      view = { state: 'joined', self, members: [self], missing: [] };
      return view;
    },
    onChange: () => () => undefined,
    refresh: () => undefined,
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
}
