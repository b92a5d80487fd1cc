// Who speaks for an engine, and from where: a newer agent of the same engine, strangers that claim it, a new address.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { addressOf, factsOf, sees, useTestAgents } from '../../test/support/cluster-agent.ts';
import { eventually } from '../../test/support/eventually.ts';
import { freePort, isFree } from '../../test/support/free-port.ts';
import { silentLogger } from '../log.ts';
import { createLibp2pNetwork } from './libp2p-network.ts';
import { createIdentity, signRecord } from './record.ts';

const forever = new AbortController().signal;

describe('takeover', function () {
  this.timeout(60_000);
  const start = useTestAgents();

  it('steps down for a newer agent of the same engine, and takes over when that one is gone', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2, 3];
    const older = await start({ index: 1, port, seeds });
    const other = await start({ index: 2, port, seeds });
    await eventually(() => [older, other].every(sees(2)));
    const newer = await start({ index: 3, engine: 1, port, seeds });
    const holder = (): string | undefined =>
      other.cluster.view().members.find((member) => member.record.engineId === 'engine-1')?.record.address;
    await eventually(() => holder() === addressOf(3) && older.cluster.view().members.length === 1);
    await eventually(() => sees(2)(newer));
    await newer.cluster.stop(forever);
    await eventually(() => holder() === addressOf(1) && sees(2)(older), { withinMs: 15_000 });
  });

  it('does not step down for a stranger that names the address of a live member', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2];
    const agents = await Promise.all(seeds.map((index) => start({ index, port, seeds })));
    const [claimed] = agents;
    assert.ok(claimed !== undefined);
    await eventually(() => agents.every(sees(2)));
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
      const peerId = await stranger.dial(target, { peerId: undefined, timeoutMs: 10_000, fresh: false });
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
        10_000,
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
    await eventually(() => agents.every(sees(2)));
    assert.ok(!claimed.events.some((event) => event.includes('stepping down')));
  });

  it('takes part at another address when its container got one', async () => {
    const port = await freePort(addressOf(1));
    let host = [addressOf(1)];
    const seeds = [1, 2, 3];
    const other = await start({ index: 2, port, seeds });
    const moving = await start({ index: 1, port, seeds, local: () => host });
    await eventually(() => [other, moving].every(sees(2)));
    const before = moving.cluster.view().self.record;
    assert.equal(before.address, addressOf(1));
    // Without others it looks each second.
    await other.cluster.stop(forever);
    host = [addressOf(3)];
    await eventually(() => moving.cluster.view().self.record.address === addressOf(3), {
      withinMs: 10_000,
    });
    await other.cluster.start(forever);
    await eventually(() => [other, moving].every(sees(2)), { withinMs: 10_000 });
    const seen = other.cluster.view().members.map(({ record }) => record.address);
    assert.deepEqual(seen.toSorted(), [addressOf(2), addressOf(3)]);
    assert.ok(moving.cluster.view().self.record.generation > before.generation);
    assert.ok(await isFree(addressOf(1), port));
  });

  it('ends what it began in one Swarm before it begins in the next', async () => {
    const port = await freePort(addressOf(1));
    const seeds = [1, 2];
    const lookup = async (host: string): Promise<readonly string[]> =>
      host === 'tasks.agent' ? [addressOf(1), addressOf(2)] : [host];
    const other = await start({ index: 2, port, seeds });
    const local = (): readonly string[] => [addressOf(1)];
    const agent = await start({ index: 1, port, inSwarm: true, local, lookup, service: 'agent' });
    await eventually(() => [other, agent].every(sees(2)));
    for (let times = 0; times < 3; times++) {
      const { generation } = agent.cluster.view().self.record;
      agent.setFacts(factsOf(1, undefined));
      agent.setFacts(factsOf(1, 'worker'));
      const isNew = (): boolean =>
        other.cluster
          .view()
          .members.some(({ record }) => record.engineId === 'engine-1' && record.generation > generation);
      await eventually(() => isNew() && [other, agent].every(sees(2)), { withinMs: 10_000 });
    }
    assert.ok(!agent.events.some((event) => event.includes('not started')), agent.events.join());
    agent.setFacts(factsOf(1, undefined));
    agent.setFacts(factsOf(1, 'worker'));
    await agent.cluster.stop(forever);
    assert.ok(await isFree(addressOf(1), port));
  });
});
