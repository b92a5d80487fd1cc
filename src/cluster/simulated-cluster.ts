// For tests: a cluster of detectors in one process, on the simulated network, under one clock moved by hand.
// Machine `index` has the address 10.0.0.(index + 1) and keeps its identity and its wall clock over restarts.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { silentLogger } from '../log.ts';
import type { MemberRecord } from './cluster.ts';
import { Detector } from './detector.ts';
import { isLive } from './membership.ts';
import { createIdentity, type Identity } from './record.ts';
import type { SelfDescription } from './self-record.ts';
import { SimulatedNetwork, SimulatedTime } from './simulated-network.ts';

export interface SimulatedAgent {
  readonly address: string;
  readonly detector: Detector;
  readonly network: ReturnType<SimulatedNetwork['join']>;
  readonly rivals: MemberRecord[];
  readonly changes: string[][];
}

export interface StartOptions {
  readonly freshIdentity?: boolean;
  /** The machine whose engine it speaks for, if not its own. */
  readonly engine?: number;
  readonly swarmId?: string;
}

const gossipPort = 7946;

export class SimulatedCluster {
  readonly time: SimulatedTime = new SimulatedTime();
  readonly network: SimulatedNetwork;
  readonly agents: Map<number, SimulatedAgent> = new Map();
  readonly managers: Set<number> = new Set([0]);
  readonly wall: Map<number, { offsetMs: number }> = new Map();
  readonly #identities = new Map<number, Identity>();
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.network = new SimulatedNetwork(this.time, this.random);
  }

  /** A new process on a machine. */
  async start(index: number, options: StartOptions = {}): Promise<SimulatedAgent> {
    const known = options.freshIdentity === true ? undefined : this.#identities.get(index);
    const identity = known ?? createIdentity(randomBytes(32));
    this.#identities.set(index, identity);
    const address = addressOf(index);
    const rivals: MemberRecord[] = [];
    const changes: string[][] = [];
    const network = this.network.join(identity.peerId);
    const engine = options.engine ?? index;
    const describe = (): SelfDescription => describeNode(engine, address, this.managers.has(engine));
    const detector: Detector = new Detector(
      {
        network,
        clock: this.time.clock(this.wall.get(index) ?? { offsetMs: 0 }),
        random: this.random,
        log: silentLogger,
        identity,
        describe: () => ({ self: describe(), swarmId: options.swarmId }),
        onChange: () => changes.push(liveNodes(detector)),
        onRival: (rival) => rivals.push(rival),
      },
      { probeIntervalMs: 1_000, probeTimeoutMs: 500, highestSeen: 0 },
    );
    await network.start({ address, port: gossipPort }, detector);
    detector.start();
    const agent = { address, detector, network, rivals, changes };
    this.agents.set(index, agent);
    return agent;
  }

  /** What discovery does: dials every address, its own excepted. */
  discover(index: number, others: readonly number[]): void {
    const agent = this.agent(index);
    for (const other of others) {
      if (other === index) continue;
      const options = { peerId: undefined, timeoutMs: 1_000, fresh: false };
      agent.network.dial({ address: addressOf(other), port: gossipPort }, options).catch(() => undefined);
    }
  }

  async startAll(count: number): Promise<void> {
    const all = [...Array(count).keys()];
    for (const index of all) await this.start(index);
    for (const index of all) this.discover(index, all);
    await this.time.advance(2_000);
    this.assertOneView(all, 'start');
  }

  kill(index: number): void {
    const agent = this.agent(index);
    agent.detector.stop();
    this.network.crash(agent.address);
    this.agents.delete(index);
  }

  isolate(index: number, others: readonly number[]): void {
    for (const other of others) if (other !== index) this.network.cut(addressOf(index), addressOf(other));
  }

  agent(index: number): SimulatedAgent {
    const agent = this.agents.get(index);
    assert.ok(agent !== undefined, `agent ${index} is running`);
    return agent;
  }

  /** Moves time until the check holds, and returns how long that took. */
  async until(limitMs: number, check: () => boolean, what: string): Promise<number> {
    const startMs = this.time.nowMs();
    while (!check()) {
      assert.ok(this.time.nowMs() - startMs < limitMs, `${what} within ${limitMs} ms`);
      await this.time.advance(10);
    }
    return this.time.nowMs() - startMs;
  }

  sees(index: number, nodes: readonly number[]): boolean {
    return liveNodes(this.agent(index).detector).join() === nodes.map(nameOf).sort().join();
  }

  /** What one says of another's role. */
  roleAt(index: number, other: number): string | undefined {
    const entry = this.agent(index)
      .detector.entries()
      .find(({ signed }) => signed.record.nodeName === nameOf(other));
    return entry?.signed.record.role;
  }

  allSee(nodes: readonly number[]): boolean {
    return nodes.every((index) => this.sees(index, nodes));
  }

  assertOneView(nodes: readonly number[], when: string): void {
    for (const index of nodes) {
      const expected = nodes.map(nameOf).sort();
      assert.deepEqual(liveNodes(this.agent(index).detector), expected, `${when}: view of ${nameOf(index)}`);
    }
  }
}

export function addressOf(index: number): string {
  return `10.0.0.${index + 1}`;
}

export function nameOf(index: number): string {
  return `node-${String(index).padStart(2, '0')}`;
}

function describeNode(index: number, address: string, manager: boolean): SelfDescription {
  return {
    nodeName: nameOf(index),
    nodeId: `id-${index}`,
    engineId: `engine-${index}`,
    role: manager ? 'manager' : 'worker',
    leader: false,
    engineVersion: '20.10.24',
    apiVersion: '1.41',
    minApiVersion: '1.12',
    agentVersion: '0.1.0',
    address,
    apiPort: 9001,
    peerPort: 9002,
    gossipPort,
    tlsFingerprint: '0'.repeat(64),
    edgeKeySet: false,
  };
}

export function liveNodes(detector: Detector): string[] {
  const live = detector.entries().filter(isLive);
  return live.map((entry) => entry.signed.record.nodeName).sort();
}

/** Mulberry32: small, good enough for schedules, and the same everywhere. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
