// Whole cluster members on loopback addresses, each with an engine of its own that says what the test sets.

import { randomBytes } from 'node:crypto';
import { afterEach } from 'mocha';
import { systemClock } from '../../src/cluster/clock.ts';
import {
  type Cluster,
  type ClusterNeeds,
  type ClusterOptions,
  createCluster,
} from '../../src/cluster/cluster.ts';
import type { EngineFacts, OwnContainer } from '../../src/docker/docker.ts';
import { type Logger, silentLogger } from '../../src/log.ts';

const forever = new AbortController().signal;

export interface TestAgent {
  readonly cluster: Cluster;
  /** Names of the events it logged as information or warning. */
  readonly events: string[];
  setFacts(facts: EngineFacts): void;
}

export interface TestAgentOptions {
  readonly index: number;
  readonly port: number;
  readonly seeds?: readonly number[];
  readonly secret?: string;
  readonly addr?: string;
  readonly inSwarm?: boolean;
  readonly lookup?: ClusterNeeds['lookup'];
  readonly engine?: number;
  /** The addresses that its container has; nothing is advertised but one of these. */
  readonly local?: () => readonly string[];
  /** The name of its service, where it has a container. */
  readonly service?: string;
  /** Default: a second. */
  readonly probeIntervalMs?: number;
}

function createTestAgent(options: TestAgentOptions): TestAgent {
  const { local } = options;
  const engine = options.engine ?? options.index;
  let facts = factsOf(engine, options.inSwarm === true ? 'worker' : undefined);
  const listeners = new Set<(facts: EngineFacts) => void>();
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const log: Logger = { ...silentLogger, info: note, warn: note, error: note };
  const needs: ClusterNeeds = {
    facts: () => facts,
    onFactsChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    ownContainer: () =>
      Promise.resolve(local === undefined ? undefined : containerAt(local(), options.service)),
    taskAddresses: () => Promise.resolve([]),
    tlsFingerprint: 'ab'.repeat(32),
    identitySeed: randomBytes(32),
    edgeKeySet: () => false,
    onAdvertise: () => Promise.resolve(9_002),
    clock: systemClock,
    random: Math.random,
    log,
    ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
    ...(local === undefined ? {} : { localAddresses: local }),
  };
  const clusterOptions: ClusterOptions = {
    secret: options.secret,
    addr: options.addr,
    seeds: (options.seeds ?? []).map((index) => ({ host: addressOf(index), port: options.port })),
    advertiseAddr: local === undefined ? addressOf(options.index) : undefined,
    apiPort: 9_001,
    gossipPort: options.port,
    peerPort: 9_002,
    probeTimeoutMs: 500,
    probeIntervalMs: options.probeIntervalMs ?? 1_000,
    agentVersion: '0.1.0',
  };
  return {
    cluster: createCluster(needs, clusterOptions),
    events,
    setFacts: (changed) => {
      facts = changed;
      for (const listener of listeners) listener(changed);
    },
  };
}

/** Starts agents within a suite of tests; those that a test has started end with it. */
export function useTestAgents(): (options: TestAgentOptions) => Promise<TestAgent> {
  const running = new Set<Cluster>();

  afterEach(async () => {
    await Promise.all([...running].map((cluster) => cluster.stop(forever)));
    running.clear();
  });

  return async (options) => {
    const agent = createTestAgent(options);
    running.add(agent.cluster);
    await agent.cluster.start(forever);
    return agent;
  };
}

function containerAt(addresses: readonly string[], serviceName: string | undefined): OwnContainer {
  return {
    id: 'c',
    serviceName,
    addresses: addresses.map((address) => ({ network: 'agents', address, scope: 'swarm' })),
  };
}

export function factsOf(index: number, role: 'manager' | 'worker' | undefined): EngineFacts {
  return {
    engineId: `engine-${index}`,
    nodeName: `node-${index}`,
    engineVersion: '20.10.24',
    apiVersion: '1.41',
    minApiVersion: '1.12',
    osType: 'linux',
    rootDir: '/var/lib/docker',
    swarm:
      role === undefined ? undefined : { nodeId: `id-${index}`, clusterId: undefined, role, leader: false },
  };
}

export function addressOf(index: number): string {
  return `127.0.0.${index + 1}`;
}

export function nameIn(member: { readonly record: { readonly nodeName: string } }): string {
  return member.record.nodeName;
}

export const sees =
  (count: number) =>
  ({ cluster }: TestAgent): boolean =>
    cluster.view().members.length === count;
