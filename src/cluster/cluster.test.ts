// Whole cluster members over real libp2p on loopback addresses: join, die, leave, come back, and leave nothing behind.
// The protocol under bad networks is tested in detector.test.ts, on a simulated one.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import {
  addressOf,
  factsOf,
  nameIn,
  sees,
  type TestAgent,
  useTestAgents,
} from '../../test/support/cluster-agent.ts';
import { eventually } from '../../test/support/eventually.ts';
import { freePort, isFree } from '../../test/support/free-port.ts';
import { AgentError } from '../errors.ts';

const forever = new AbortController().signal;
const hosts = [1, 2, 3, 4, 5].map((index) => addressOf(index));

describe('cluster', function () {
  this.timeout(60_000);
  const start = useTestAgents();

  it('is one joined member without a Swarm and without seeds, and listens nowhere', async () => {
    const port = await freePort(addressOf(1));
    const { cluster } = await start({ index: 1, port });
    const view = cluster.view();
    assert.equal(view.state, 'joined');
    assert.deepEqual(view.members.map(nameIn), ['node-1']);
    assert.ok(await isFree(addressOf(1), port));
  });

  it('forms one cluster of five from all sides, whoever starts first', async () => {
    const port = await freePort(addressOf(1));
    const agents = await Promise.all(
      [1, 2, 3, 4, 5].map((index) => start({ index, port, seeds: [1, 2, 3, 4, 5] })),
    );
    await eventually(() => agents.every(({ cluster }) => cluster.view().members.length === 5));
    for (const { cluster } of agents) {
      const view = cluster.view();
      assert.equal(view.state, 'joined');
      assert.deepEqual(view.members.map(nameIn), ['node-1', 'node-2', 'node-3', 'node-4', 'node-5']);
      assert.deepEqual(view.missing, []);
    }
    await eventually(() =>
      agents.every(({ cluster }) => cluster.view().members.some((member) => member.rttMs !== undefined)),
    );
  });

  it('forgets a member that leaves at once, and takes it back when it starts again', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2, 3];
    const [first, second, third] = await Promise.all(seeds.map((index) => start({ index, port, seeds })));
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    await eventually(() => [first, second, third].every(sees(3)));
    await third.cluster.stop(forever);
    await eventually(() => [first, second].every(sees(2)));
    assert.deepEqual(first.cluster.view().missing, []);
    await third.cluster.start(forever);
    await eventually(() => [first, second, third].every(sees(3)));
  });

  it('waits for a DNS that is dead, and joins as soon as it is back', async () => {
    const port = await freePort(addressOf(1));
    let dead = true;
    const lookup = async (host: string): Promise<readonly string[]> => {
      if (host === 'tasks.agent' && dead) throw new AgentError('timeout', 'look up: no answer');
      return host === 'tasks.agent' ? hosts.slice(0, 2) : [host];
    };
    const agents = await Promise.all(
      [1, 2].map((index) => start({ index, port, addr: 'tasks.agent', lookup })),
    );
    await eventually(() => agents.every(({ cluster }) => cluster.view().self.record.incarnation >= 0));
    assert.ok(agents.every(({ cluster }) => cluster.view().state === 'joining'));
    dead = false;
    await eventually(() => agents.every(sees(2)));
  });

  it('is joined when the Swarm has no other task than its own', async () => {
    const port = await freePort(addressOf(1));
    const lookup = async (host: string): Promise<readonly string[]> =>
      host === 'tasks.agent' ? [addressOf(1)] : [host];
    const { cluster } = await start({ index: 1, port, addr: 'tasks.agent', lookup, inSwarm: true });
    await eventually(() => cluster.view().state === 'joined');
    assert.equal(cluster.view().members.length, 1);
  });

  it('never lets in an agent with another secret, or with none', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2, 3, 4];
    const [first, second] = await Promise.all(
      [1, 2].map((index) => start({ index, port, seeds, secret: 'right' })),
    );
    const wrong = await start({ index: 3, port, seeds, secret: 'wrong' });
    const open = await start({ index: 4, port, seeds });
    assert.ok(first !== undefined && second !== undefined);
    await eventually(() => [first, second].every(sees(2)));
    // The two with the secret were refused by the others and say why; the others tried as well.
    const toldWhy = ({ events }: TestAgent): boolean =>
      events.some((event) => event.includes('same cluster secret'));
    await eventually(() => toldWhy(first) || toldWhy(second) || toldWhy(wrong), { withinMs: 10_000 });
    await eventually(() => [first, second].every(sees(2)));
    assert.ok([wrong, open].every(sees(1)));
    assert.ok([wrong, open].every(({ cluster }) => cluster.view().state === 'joining'));
  });

  it('tells the others of a promotion', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2];
    // None of them asks another before the test is over.
    const probeIntervalMs = 60_000;
    const [first, second] = await Promise.all(
      seeds.map((index) => start({ index, port, seeds, inSwarm: true, probeIntervalMs })),
    );
    assert.ok(first !== undefined && second !== undefined);
    await eventually(() => [first, second].every(sees(2)));
    const seen: (string | undefined)[] = [];
    second.cluster.onChange((view) => {
      seen.push(view.members.find((member) => member.record.nodeName === 'node-1')?.record.role);
    });
    first.setFacts(factsOf(1, 'manager'));
    await eventually(() => seen.includes('manager'));
  });

  it('leaves no socket and no timer after stop, also when stopped while joining', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2, 3];
    const agents = await Promise.all(seeds.map((index) => start({ index, port, seeds })));
    await eventually(() => agents.every(sees(3)));
    const early = await start({ index: 4, port, seeds });
    await early.cluster.stop(forever);
    await Promise.all(agents.map(({ cluster }) => cluster.stop(forever)));
    await Promise.all(agents.map(({ cluster }) => cluster.stop(forever)));
    // libp2p's own abort timers outlive its stop by at most a few seconds; sockets and servers do not.
    await eventually(() => openResources().length === 0, { withinMs: 15_000 });
    for (const index of [1, 2, 3, 4]) assert.ok(await isFree(addressOf(index), port));
  });

  it('diagnoses how far it gets at each address: members, refusals, and agents with another secret', async () => {
    const port = await freePort(addressOf(1));
    const { cluster } = await start({ index: 1, port, seeds: [1, 2, 3, 4], secret: 'one' });
    await start({ index: 2, port, seeds: [1], secret: 'one' });
    await start({ index: 3, port, seeds: [1], secret: 'another' });
    await eventually(() => cluster.view().members.length === 2);
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
    const port = await freePort(addressOf(1));
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
