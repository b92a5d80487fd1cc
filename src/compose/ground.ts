// What every part of the agent is built on, and whether it is told to cluster.

import type { AssociationStore } from '../auth/auth.ts';
import type { Identity } from '../auth/identity.ts';
import type { Config } from '../config/config.ts';
import type { Docker } from '../docker/docker.ts';
import type { EdgeKeys } from '../edge/edge.ts';
import type { Logger } from '../log.ts';

/** What everything else is built on. */
export interface Ground {
  readonly config: Config;
  readonly log: Logger;
  readonly docker: Docker;
  readonly identity: Identity;
  readonly association: AssociationStore;
  /** Undefined outside Edge mode. */
  readonly edgeKeys: EdgeKeys | undefined;
}

/** Told to cluster: by a Swarm, by seeds, or by a name to find the others at. Podman never clusters. */
export function isClustered({ config, docker }: Pick<Ground, 'config' | 'docker'>): boolean {
  if (config.agent.podman) return false;
  const { seeds, addr } = config.cluster;
  return docker.facts().swarm !== undefined || seeds.length > 0 || addr !== undefined;
}
