// Whole cluster members over real libp2p on loopback addresses: join, die, leave, come back, and leave nothing behind.
// The protocol under bad networks is tested in detector.test.ts, on a simulated one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { eventually } from '../../test/support/eventually.ts';
import type { EngineFacts } from '../docker/docker.ts';
import { AgentError } from '../errors.ts';
import { type Logger, silentLogger } from '../log.ts';
import { systemClock } from './clock.ts';
import { type Cluster, type ClusterNeeds, type ClusterOptions, createCluster } from './cluster.ts';
import { createLibp2pNetwork } from './libp2p-network.ts';
import { createIdentity, signRecord } from './record.ts';

interface TestAgent {
  readonly cluster: Cluster;
  /** Names of the events it logged as information or warning. */
  readonly events: string[];
  setFacts(facts: EngineFacts): void;
}

interface TestAgentOptions {
  readonly index: number;
  readonly port: number;
  readonly seeds?: readonly number[];
  readonly secret?: string;
  readonly addr?: string;
  readonly inSwarm?: boolean;
  readonly lookup?: ClusterNeeds['lookup'];
  readonly engine?: number;
}

const forever = new AbortController().signal;
const hosts = [1, 2, 3, 4, 5].map((index) => addressOf(index));

describe('cluster', function () {
  this.timeout(30_000);
  const running = new Set<Cluster>();

  afterEach(async () => {
    await Promise.all([...running].map((cluster) => cluster.stop(forever)));
    running.clear();
  });

  const start = async (options: TestAgentOptions): Promise<TestAgent> => {
    const agent = createTestAgent(options);
    running.add(agent.cluster);
    await agent.cluster.start(forever);
    return agent;
  };

  it('is one joined member without a Swarm and without seeds, and listens nowhere', async () => {
    const port = await freePort();
    const { cluster } = await start({ index: 1, port });
    const view = cluster.view();
    assert.equal(view.state, 'joined');
    assert.deepEqual(view.members.map(nameIn), ['node-1']);
    assert.ok(await isFree(addressOf(1), port));
  });

  it('forms one cluster of five from all sides, whoever starts first', async () => {
    const port = await freePort();
    const agents = await Promise.all(
      [1, 2, 3, 4, 5].map((index) => start({ index, port, seeds: [1, 2, 3, 4, 5] })),
    );
    await eventually(() => agents.every(({ cluster }) => cluster.view().members.length === 5), {
      withinMs: 5_000,
    });
    for (const { cluster } of agents) {
      const view = cluster.view();
      assert.equal(view.state, 'joined');
      assert.deepEqual(view.members.map(nameIn), ['node-1', 'node-2', 'node-3', 'node-4', 'node-5']);
      assert.deepEqual(view.missing, []);
    }
    await eventually(
      () =>
        agents.every(({ cluster }) => cluster.view().members.some((member) => member.rttMs !== undefined)),
      { withinMs: 3_000 },
    );
  });

  it('forgets a member that leaves at once, and takes it back when it starts again', async () => {
    const port = await freePort();
    const seeds = [1, 2, 3];
    const [first, second, third] = await Promise.all(seeds.map((index) => start({ index, port, seeds })));
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    await eventually(() => [first, second, third].every(sees(3)), { withinMs: 5_000 });
    await third.cluster.stop(forever);
    assert.ok([first, second].every(sees(2)));
    assert.deepEqual(first.cluster.view().missing, []);
    await third.cluster.start(forever);
    await eventually(() => [first, second, third].every(sees(3)), { withinMs: 5_000 });
  });

  it('waits for a DNS that is dead, and joins as soon as it is back', async () => {
    const port = await freePort();
    let dead = true;
    const lookup = async (host: string): Promise<readonly string[]> => {
      if (host === 'tasks.agent' && dead) throw new AgentError('timeout', 'look up: no answer');
      return host === 'tasks.agent' ? hosts.slice(0, 2) : [host];
    };
    const agents = await Promise.all(
      [1, 2].map((index) => start({ index, port, addr: 'tasks.agent', lookup })),
    );
    await eventually(() => agents.every(({ cluster }) => cluster.view().self.record.incarnation >= 0), {
      withinMs: 2_000,
    });
    assert.ok(agents.every(({ cluster }) => cluster.view().state === 'joining'));
    dead = false;
    await eventually(() => agents.every(sees(2)), { withinMs: 5_000 });
  });

  it('is joined when the Swarm has no other task than its own', async () => {
    const port = await freePort();
    const lookup = async (host: string): Promise<readonly string[]> =>
      host === 'tasks.agent' ? [addressOf(1)] : [host];
    const { cluster } = await start({ index: 1, port, addr: 'tasks.agent', lookup, inSwarm: true });
    await eventually(() => cluster.view().state === 'joined', { withinMs: 5_000 });
    assert.equal(cluster.view().members.length, 1);
  });

  it('never lets in an agent with another secret, or with none', async () => {
    const port = await freePort();
    const seeds = [1, 2, 3, 4];
    const [first, second] = await Promise.all(
      [1, 2].map((index) => start({ index, port, seeds, secret: 'right' })),
    );
    const wrong = await start({ index: 3, port, seeds, secret: 'wrong' });
    const open = await start({ index: 4, port, seeds });
    assert.ok(first !== undefined && second !== undefined);
    await eventually(() => [first, second].every(sees(2)), { withinMs: 5_000 });
    // The two with the secret were refused by the others and say why; the others tried as well.
    const toldWhy = ({ events }: TestAgent): boolean =>
      events.some((event) => event.includes('same cluster secret'));
    await eventually(() => toldWhy(first) || toldWhy(second) || toldWhy(wrong), { withinMs: 10_000 });
    assert.ok([first, second].every(sees(2)));
    assert.ok([wrong, open].every(sees(1)));
    assert.ok([wrong, open].every(({ cluster }) => cluster.view().state === 'joining'));
  });

  it('tells the others of a promotion', async () => {
    const port = await freePort();
    const seeds = [1, 2];
    const [first, second] = await Promise.all(
      seeds.map((index) => start({ index, port, seeds, inSwarm: true })),
    );
    assert.ok(first !== undefined && second !== undefined);
    await eventually(() => [first, second].every(sees(2)), { withinMs: 5_000 });
    const seen: (string | undefined)[] = [];
    second.cluster.onChange((view) => {
      seen.push(view.members.find((member) => member.record.nodeName === 'node-1')?.record.role);
    });
    first.setFacts(factsOf(1, 'manager'));
    await eventually(() => seen.includes('manager'), { withinMs: 1_000 });
  });

  it('steps down for a newer agent of the same engine, and takes over when that one is gone', async () => {
    const port = await freePort();
    const seeds = [1, 2, 3];
    const older = await start({ index: 1, port, seeds });
    const other = await start({ index: 2, port, seeds });
    await eventually(() => [older, other].every(sees(2)), { withinMs: 5_000 });
    const newer = await start({ index: 3, engine: 1, port, seeds });
    const holder = (): string | undefined =>
      other.cluster.view().members.find((member) => member.record.engineId === 'engine-1')?.record.address;
    await eventually(() => holder() === addressOf(3) && older.cluster.view().members.length === 1, {
      withinMs: 5_000,
    });
    assert.ok(sees(2)(newer));
    await newer.cluster.stop(forever);
    await eventually(() => holder() === addressOf(1) && sees(2)(older), { withinMs: 15_000 });
  });

  it('does not step down for a stranger that names the address of a live member', async () => {
    const port = await freePort();
    const seeds = [1, 2];
    const agents = await Promise.all(seeds.map((index) => start({ index, port, seeds })));
    const [claimed] = agents;
    assert.ok(claimed !== undefined);
    await eventually(() => agents.every(sees(2)), { withinMs: 5_000 });
    const identity = createIdentity(randomBytes(32));
    const stranger = createLibp2pNetwork({ seed: identity.seed, secret: undefined }, silentLogger);
    await stranger.start(undefined, {
      onLinkUp: () => undefined,
      onLinkDown: () => undefined,
      onQuestion: () => Promise.reject(new Error('no answer')),
      onRumor: () => undefined,
    });
    const { record } = claimed.cluster.view().self;
    const generation = record.generation + 1_000_000;
    try {
      const target = { address: addressOf(1), port };
      const peerId = await stranger.dial(target, { peerId: undefined, timeoutMs: 1_000, fresh: false });
      const claim = signRecord(
        {
          record: { ...record, peerId: identity.peerId, generation, incarnation: 0, address: addressOf(2) },
          leaving: false,
          swarmId: undefined,
        },
        identity,
      );
      const { text, signature } = claim;
      await stranger.ask(
        peerId,
        { kind: 'sync', lines: [{ text, signature, state: 'alive', ageMs: 0 }] },
        1_000,
      );
      // It writes a newer record than the stranger's, and the other one hears of it.
      await eventually(
        () =>
          agents.every(({ cluster }) =>
            cluster
              .view()
              .members.some(
                (member) => member.record.peerId === record.peerId && member.record.generation > generation,
              ),
          ),
        { withinMs: 10_000 },
      );
    } finally {
      await stranger.stop();
    }
    assert.ok(agents.every(sees(2)));
    assert.ok(!claimed.events.some((event) => event.includes('stepping down')));
  });

  it('leaves no socket and no timer after stop, also when stopped while joining', async () => {
    const port = await freePort();
    const seeds = [1, 2, 3];
    const agents = await Promise.all(seeds.map((index) => start({ index, port, seeds })));
    await eventually(() => agents.every(sees(3)), { withinMs: 5_000 });
    const early = await start({ index: 4, port, seeds });
    await early.cluster.stop(forever);
    await Promise.all(agents.map(({ cluster }) => cluster.stop(forever)));
    await Promise.all(agents.map(({ cluster }) => cluster.stop(forever)));
    // libp2p's own abort timers outlive its stop by at most a few seconds; sockets and servers do not.
    await eventually(() => openResources().length === 0, { withinMs: 15_000 });
    for (const index of [1, 2, 3, 4]) assert.ok(await isFree(addressOf(index), port));
  });

  it('diagnoses how far it gets at each address: members, refusals, and agents with another secret', async () => {
    const port = await freePort();
    const { cluster } = await start({ index: 1, port, seeds: [1, 2, 3, 4], secret: 'one' });
    await start({ index: 2, port, seeds: [1], secret: 'one' });
    await start({ index: 3, port, seeds: [1], secret: 'another' });
    await eventually(() => cluster.view().members.length === 2, { withinMs: 5_000 });
    const { state, sources, addresses } = await cluster.diagnose(forever);
    assert.equal(state.kind === 'running' && state.reason, 'set by FLOTILLA_ADVERTISE_ADDR');
    assert.deepEqual(
      sources.map(({ source, own, proved, fault }) => [source, own, proved, fault]),
      [1, 2, 3, 4].map((index) => [
        `seed ${addressOf(index)}`,
        index === 1 ? 1 : 0,
        index === 2 ? 1 : 0,
        undefined,
      ]),
    );
    assert.deepEqual(
      addresses.map(({ address, nodeName, member, gossip, handshake }) => [
        address,
        nodeName,
        member,
        gossip.kind,
        handshake === undefined || handshake === 'done' ? handshake : 'not done',
      ]),
      [
        [addressOf(2), 'node-2', 'live', 'open', undefined],
        [addressOf(3), undefined, 'unknown', 'open', 'not done'],
        [addressOf(4), undefined, 'unknown', 'refused', undefined],
      ],
    );
  });

  it('says why there is nothing to diagnose', async () => {
    const port = await freePort();
    const { cluster } = await start({ index: 1, port });
    assert.deepEqual(await cluster.diagnose(forever), {
      state: { kind: 'alone' },
      sources: [],
      addresses: [],
    });
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(port, addressOf(2), resolve));
    try {
      const blocked = await start({ index: 2, port, seeds: [1] });
      const reason = await eventually(async () => {
        const { state } = await blocked.cluster.diagnose(forever);
        return state.kind === 'failed' && state.reason;
      });
      assert.match(String(reason), /listen on 127\.0\.0\.3/);
    } finally {
      taken.close();
    }
  });
});

function openResources(): readonly string[] {
  const kinds = new Set(['TCPSocketWrap', 'TCPServerWrap', 'UDPWrap', 'GetAddrInfoReqWrap', 'QueryReqWrap']);
  return process.getActiveResourcesInfo().filter((kind) => kinds.has(kind));
}

function createTestAgent(options: TestAgentOptions): TestAgent {
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
    ownContainer: () => Promise.resolve(undefined),
    taskAddresses: () => Promise.resolve([]),
    tlsFingerprint: 'ab'.repeat(32),
    identitySeed: randomBytes(32),
    edgeKeySet: () => false,
    onAdvertise: () => Promise.resolve(9_002),
    clock: systemClock,
    random: Math.random,
    log,
    ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
  };
  const clusterOptions: ClusterOptions = {
    secret: options.secret,
    addr: options.addr,
    seeds: (options.seeds ?? []).map((index) => ({ host: addressOf(index), port: options.port })),
    advertiseAddr: addressOf(options.index),
    apiPort: 9_001,
    gossipPort: options.port,
    peerPort: 9_002,
    probeTimeoutMs: 500,
    probeIntervalMs: 1_000,
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

function factsOf(index: number, role: 'manager' | 'worker' | undefined): EngineFacts {
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

function addressOf(index: number): string {
  return `127.0.0.${index + 1}`;
}

function nameIn(member: { readonly record: { readonly nodeName: string } }): string {
  return member.record.nodeName;
}

const sees =
  (count: number) =>
  ({ cluster }: TestAgent): boolean =>
    cluster.view().members.length === count;

/** A port that is free on the first address is taken for all: nothing else uses these addresses. */
async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, addressOf(1), resolve);
  await promise;
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once('error', () => resolve(false));
  server.listen(port, host, () => server.close(() => resolve(true)));
  return promise;
}
