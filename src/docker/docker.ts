// What the rest of the agent knows of its local engine, and the factory of the client that learns it.
// Facts are refreshed for ever: a promotion, demotion or engine upgrade is seen without a restart.

export type SwarmRole = 'manager' | 'worker';

/** Facts of one engine, from `GET /info`, `GET /version` and, on a manager, `GET /nodes/{id}`. */
export interface EngineFacts {
  /** `ID` of `/info`; stable over restarts of the engine. */
  readonly engineId: string;
  /** `Name` of `/info`: what Portainer uses as target. */
  readonly nodeName: string;
  /** `Version` of `/version`, for example `20.10.24`. */
  readonly engineVersion: string;
  /** The engine's newest and oldest API version. */
  readonly apiVersion: string;
  readonly minApiVersion: string;
  /** `DockerRootDir` of `/info`. */
  readonly rootDir: string;
  /** Undefined when the engine is not part of a Swarm. */
  readonly swarm: SwarmFacts | undefined;
}

export interface SwarmFacts {
  readonly nodeId: string;
  readonly clusterId: string | undefined;
  readonly role: SwarmRole;
  readonly leader: boolean;
}

/** Facts of the agent's own container; undefined members where it does not run in one. */
export interface OwnContainer {
  readonly id: string;
  /** Label `com.docker.swarm.service.name`. */
  readonly serviceName: string | undefined;
  /** Addresses on non-ingress networks, Swarm-scoped ones first. */
  readonly addresses: readonly { readonly network: string; readonly address: string; readonly scope: string }[];
}

export interface Docker {
  /** The last facts read. Throws `engine-unreachable` before the first successful read. */
  facts(): EngineFacts;
  /** Calls back after facts changed, with the new ones. Returns the call that ends it. */
  onChange(listener: (facts: EngineFacts) => void): () => void;
  /** Looks for the agent's own container by host name, then by cgroup. Undefined when it is not in one. */
  ownContainer(signal: AbortSignal): Promise<OwnContainer | undefined>;
  /** Addresses of the running tasks of a service, from the manager's task list; empty on a worker. */
  taskAddresses(serviceName: string, signal: AbortSignal): Promise<readonly string[]>;
  start(signal: AbortSignal): Promise<void>;
  stop(signal: AbortSignal): Promise<void>;
}
