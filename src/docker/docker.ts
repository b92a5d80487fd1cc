// What the rest of the agent knows of its local engine, and the factory of the client that learns it.
// Facts are refreshed for ever: a promotion, demotion or engine upgrade is seen without a restart.

import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError, reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { EngineClient } from './engine-client.ts';
import { createEngineClient } from './engine-client.ts';
import type { FactsReader } from './facts-reader.ts';
import { createFactsReader } from './facts-reader.ts';
import { ownContainerIds, toOwnContainer, toTaskAddresses } from './own-container.ts';
import { toSwarmNodes } from './role.ts';

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
  /** `Os` of `/version`: `linux` or `windows`. */
  readonly osType: string;
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

/** A node of the Swarm as its managers know it, whether or not an agent runs there. */
export interface SwarmNode {
  readonly nodeId: string;
  readonly nodeName: string;
  readonly role: SwarmRole;
  /** Address that the managers see it at; undefined where they do not tell. */
  readonly address: string | undefined;
  /** `ready`, `down`, `disconnected` or `unknown`. */
  readonly state: string;
  readonly engineVersion: string | undefined;
}

/** Facts of the agent's own container; undefined members where it does not run in one. */
export interface OwnContainer {
  readonly id: string;
  /** Label `com.docker.swarm.service.name`. */
  readonly serviceName: string | undefined;
  /** Addresses on non-ingress networks, Swarm-scoped ones first. */
  readonly addresses: readonly {
    readonly network: string;
    readonly address: string;
    readonly scope: string;
  }[];
}

/** Whether the engine answered the last time it was asked. */
export type EngineHealth =
  | { readonly kind: 'reachable' }
  /** `sinceMs` is the wall clock of the first failure in a row, milliseconds. */
  | { readonly kind: 'unreachable'; readonly reason: string; readonly sinceMs: number };

export interface Docker {
  readonly name: 'docker';
  /** The last facts read. Throws `engine-unreachable` before the first successful read. */
  facts(): EngineFacts;
  health(): EngineHealth;
  /** Reads the facts now; calls at the same time share one reading. Throws when the engine does not answer. */
  refresh(): Promise<EngineFacts>;
  /** Calls back after facts changed, with the new ones. Returns the call that ends it. */
  onChange(listener: (facts: EngineFacts) => void): () => void;
  /** Looks for the agent's own container by host name, then by cgroup. Undefined when it is not in one. */
  ownContainer(signal: AbortSignal): Promise<OwnContainer | undefined>;
  /** Addresses of the running and starting tasks of a service, from the manager's task list; empty on a worker. */
  taskAddresses(serviceName: string, signal: AbortSignal): Promise<readonly string[]>;
  /** `Mountpoint` of a volume, a folder of the host; undefined when the engine has no such volume. */
  volumeMountpoint(name: string, signal: AbortSignal): Promise<string | undefined>;
  /** The Swarm's own list of its nodes; undefined where the local engine is no manager. */
  swarmNodes(signal: AbortSignal): Promise<readonly SwarmNode[] | undefined>;
  /** Waits for the engine up to a bound, then throws `engine-unreachable`; after that it is asked for ever. */
  start(signal: AbortSignal): Promise<void>;
  stop(signal: AbortSignal): Promise<void>;
}

export interface DockerNeeds {
  readonly log: Logger;
  readonly hostName: string;
  /** Text of a file under `/proc`; empty when it cannot be read. */
  readonly readProcFile: (path: string) => Promise<string>;
  /** Wall clock, milliseconds. */
  readonly nowMs: () => number;
}

export interface DockerOptions {
  readonly dockerSocket: string;
  readonly refreshIntervalMs?: number;
  /** How long `start` waits for an engine that is not there yet. */
  readonly startTimeoutMs?: number;
  readonly startRetryMs?: number;
  readonly requestTimeoutMs?: number;
}

const defaults = {
  refreshIntervalMs: 5_000,
  startTimeoutMs: 30_000,
  startRetryMs: 2_000,
  requestTimeoutMs: 10_000,
};

export function createDocker(needs: DockerNeeds, options: DockerOptions): Docker {
  const settings = { ...defaults, ...options };
  const client = createEngineClient(settings);
  const ended = new AbortController();
  const reader = createFactsReader(needs, client, ended.signal);
  let loop: Promise<void> | undefined;

  return {
    name: 'docker',
    facts: reader.facts,
    health: reader.health,
    refresh: reader.refresh,
    onChange: reader.onChange,
    ownContainer: (signal) => findOwnContainer(client, needs, signal),
    taskAddresses: async (serviceName, signal) => {
      if (reader.facts().swarm?.role !== 'manager') return [];
      return toTaskAddresses(await client.runningTasks(serviceName, signal));
    },
    volumeMountpoint: async (name, signal) => (await client.volume(name, signal))?.Mountpoint,
    swarmNodes: async (signal) => {
      if (reader.facts().swarm?.role !== 'manager') return undefined;
      return toSwarmNodes(await client.nodes(signal));
    },
    start: async (signal) => {
      if (loop !== undefined) return;
      await firstRead(reader, needs.log, settings, AbortSignal.any([signal, ended.signal]));
      loop = keepReading(reader, settings.refreshIntervalMs, ended.signal);
    },
    stop: async () => {
      ended.abort();
      await loop;
    },
  };
}

interface StartSettings {
  readonly startTimeoutMs: number;
  readonly startRetryMs: number;
}

/** The engine may start after the agent; an agent that gave up at once would depend on their order. */
async function firstRead(
  reader: FactsReader,
  log: Logger,
  { startTimeoutMs, startRetryMs }: StartSettings,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + startTimeoutMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      await reader.refresh();
      return;
    } catch (error) {
      if (performance.now() + startRetryMs > deadlineMs) {
        const message = `wait ${startTimeoutMs} ms for the engine: ${reasonOf(error)}`;
        throw new AgentError('engine-unreachable', message, { cause: error });
      }
      log.warn('waiting for the engine', { reason: reasonOf(error) });
    }
    await sleep(startRetryMs, undefined, { signal });
  }
}

async function keepReading(reader: FactsReader, intervalMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // Both failures end here: that of the sleep is the stop, that of the reading is noted in the reader's health.
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await reader.refresh().catch(() => undefined);
  }
}

async function findOwnContainer(
  client: EngineClient,
  needs: DockerNeeds,
  signal: AbortSignal,
): Promise<OwnContainer | undefined> {
  const [mountinfo, cgroup] = await Promise.all([
    needs.readProcFile('/proc/self/mountinfo'),
    needs.readProcFile('/proc/self/cgroup'),
  ]);
  for (const id of ownContainerIds(needs.hostName, mountinfo, cgroup)) {
    const container = await client.container(id, signal);
    if (container === undefined) continue;
    const endpoints = Object.entries(container.NetworkSettings?.Networks ?? {});
    const networks = await Promise.all(
      endpoints.map(async ([name, endpoint]) => {
        const networkId = endpoint.NetworkID ?? '';
        return { name, endpoint, network: networkId === '' ? {} : await client.network(networkId, signal) };
      }),
    );
    return toOwnContainer(id, container, networks);
  }
  return undefined;
}
