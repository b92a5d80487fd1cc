// The headers that an engine puts on every answer (engine-api.md 1.2), as the cluster says them: clients negotiate from
// these. The lists are kept for as long as they say the same, because what is derived from one is kept with it.

import type { ClusterView } from '../../cluster/cluster.ts';
import { advertisedRange } from './versions.ts';

export interface CommonHeaders {
  /** Replace an engine's own on an answer that passes through. Flat name, value list. */
  ofEngine(view: ClusterView): readonly string[];
  /** Complete an answer of ours. */
  ofOurs(view: ClusterView): readonly string[];
}

export interface CommonHeadersNeeds {
  /** Of the local engine. */
  readonly facts: () => { readonly engineVersion: string; readonly osType: string };
}

export function createCommonHeaders({ facts }: CommonHeadersNeeds): CommonHeaders {
  let key = '';
  let lists: { readonly engine: readonly string[]; readonly ours: readonly string[] } = {
    engine: [],
    ours: [],
  };
  const current = (view: ClusterView): typeof lists => {
    const { engineVersion, osType } = facts();
    const version = advertisedRange(view).max;
    const now = `${version} ${engineVersion} ${osType}`;
    if (now !== key) {
      key = now;
      const engine = ['Api-Version', version];
      const server = `Docker/${engineVersion} (${osType})`;
      lists = { engine, ours: [...engine, 'Ostype', osType, 'Server', server] };
    }
    return lists;
  };
  return { ofEngine: (view) => current(view).engine, ofOurs: (view) => current(view).ours };
}
