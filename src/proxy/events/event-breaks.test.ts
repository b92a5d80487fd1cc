// A merged stream whose nodes break, die, come back and join, whose client reads slowly or leaves, and who may not ask
// them: nothing is lost or repeated, and nothing stays open.

import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { idOf } from '../../../test/support/event-client.ts';
import { deathOf, type EventCluster, startEventCluster } from '../../../test/support/event-cluster.ts';
import { nextTimeNs } from '../../../test/support/event-engine.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { memberOf } from '../../../test/support/fake-peer.ts';
import { maxClientBufferBytes } from './client-writer.ts';

const longAgoNs = 3_000_000_000n;

describe('events over breaks', () => {
  let cluster: EventCluster;

  beforeEach(async () => {
    cluster = await startEventCluster();
  });

  afterEach(() => cluster[Symbol.asyncDispose]());

  it('go on where they were, without loss and without repetition', async () => {
    const { engines } = cluster;
    const client = await cluster.follow();
    const expected: string[] = [];
    const happenEverywhere = (id: string): void => {
      for (const each of engines) each.happen({ id });
      expected.push(`node-2/${id}`);
    };
    for (let round = 0; round < 4; round += 1) {
      await cluster.allOpen();
      for (let count = 0; count < 20; count += 1) happenEverywhere(`r${round}n${count}`);
      await eventually(() => client.lines.length === expected.length * 3);
      for (const each of engines) each.cut();
      happenEverywhere(`gap${round}`);
    }
    await eventually(() => client.lines.length === expected.length * 3);
    assert.deepEqual(client.ofNode('node-2'), expected);
    assert.equal(new Set(client.ids()).size, client.lines.length);
  });

  it('show nothing from before the stream began', async () => {
    const { engines } = cluster;
    engines[1].happen({ id: 'before', timeNs: nextTimeNs() - longAgoNs });
    const client = await cluster.follow();
    await cluster.allOpen();
    engines[1].cut();
    engines[1].happen({ id: 'gap' });
    await client.shows(['node-2/gap']);
    assert.equal(engines[1].queries.length, 2);
  });

  it('go on when a node that died is back, which is not asked meanwhile', async () => {
    const { engines, views, peers } = cluster;
    const client = await cluster.follow();
    await cluster.allOpen();
    engines[1].happen({ id: 'a' });
    await client.shows(['node-2/a']);
    views.change([peers[1].member], [deathOf(peers[0].member)]);
    await eventually(() => engines[1].streams() === 0);
    const asked = engines[1].queries.length;
    engines[1].happen({ id: 'b' });
    engines[2].happen({ id: 'c' });
    await client.shows(['node-2/a', 'node-3/c']);
    assert.equal(engines[1].queries.length, asked);
    const { record } = peers[0].member;
    views.change([memberOf({ ...record, generation: record.generation + 1 }), peers[1].member]);
    await client.shows(['node-2/a', 'node-3/c', 'node-2/b']);
  });

  it('come of one that was missing from the start on, and of one that joins from then on', async () => {
    const { engines, views, peers } = cluster;
    views.change([], [deathOf(peers[0].member)]);
    for (const each of engines) each.happen({ id: 'before', timeNs: nextTimeNs() - longAgoNs });
    const client = await cluster.follow();
    assert.equal(client.response.headers['flotilla-nodes'], 'asked=2, answered=1, missing=1');
    engines[1].happen({ id: 'meanwhile' });
    views.change(peers.map(({ member }) => member));
    await cluster.allOpen();
    engines[2].happen({ id: 'joined' });
    await eventually(() => assert.deepEqual(client.ids().toSorted(), ['node-2/meanwhile', 'node-3/joined']));
  });

  it('name no node while there is one, and all nodes from when others have joined', async () => {
    const { engines, views, peers } = cluster;
    views.change([]);
    const client = await cluster.follow();
    engines[0].happen({ id: 'alone' });
    await client.shows(['alone']);
    views.change(peers.map(({ member }) => member));
    await cluster.allOpen();
    engines[0].happen({ id: 'own' });
    engines[2].happen({ id: 'joined' });
    await eventually(() =>
      assert.deepEqual(client.ids().toSorted(), ['alone', 'node-1/own', 'node-3/joined']),
    );
  });

  it('are asked of nobody else for a client without authority over them', async () => {
    const { views, peers } = cluster;
    Object.assign(cluster.settings, { members: 'no-cluster-secret' });
    const client = await cluster.follow();
    assert.match(String(client.response.headers['flotilla-missing']), /^node-2;reason=no-cluster-secret/);
    views.change([...peers.map(({ member }) => member), memberOf({ nodeName: 'node-4' })]);
    cluster.engines[0].happen({ id: 'own' });
    await client.shows(['node-1/own']);
    assert.deepEqual(
      peers.flatMap(({ requests }) => requests),
      [],
    );
  });

  it('wait at the engines for a client that does not read, and all come when it does', async () => {
    const { engines } = cluster;
    const response = await cluster.request();
    await cluster.allOpen();
    const pad = 'x'.repeat(50_000);
    const each = 150;
    for (let made = 0; made < each; made += 1)
      for (const engine of engines) engine.happen({ id: `e${made}`, pad });
    let buffered = -1;
    let unchanged = 0;
    // Nothing moves any more.
    await eventually(() => {
      const before = buffered;
      buffered = cluster.bufferedBytes();
      unchanged = buffered > 0 && buffered === before ? unchanged + 1 : 0;
      return unchanged === 10;
    });
    // Beyond its bound only what was on its way from each engine.
    const mostBytes = maxClientBufferBytes + 3 * (64 * 1024 + pad.length + 1_000);
    assert.ok(buffered <= mostBytes, `${buffered} bytes wait for the client`);
    assert.ok(engines.every(({ streams }) => streams() === 1));
    const ids = (await linesOf(response, 3 * each)).map(idOf);
    assert.equal(new Set(ids).size, 3 * each);
  });

  it('leave nothing open when the client leaves, at any moment', async () => {
    const client = await cluster.follow();
    await cluster.allOpen();
    client.leave();
    await cluster.noneOpen();
    cluster.serve(2, () => undefined);
    const early = cluster.get();
    await eventually(() => cluster.engines[0].streams() === 1);
    early.destroy();
    await cluster.noneOpen();
    await eventually(() => cluster.peers[0].openSockets() === 0);
  });
});

async function linesOf(response: IncomingMessage, count: number): Promise<readonly string[]> {
  const chunks: Buffer[] = [];
  let ends = 0;
  for await (const chunk of response) {
    const piece = chunk as Buffer; // no encoding was set
    chunks.push(piece);
    for (const byte of piece) if (byte === 0x0a) ends += 1;
    if (ends === count) break;
  }
  return Buffer.concat(chunks).toString().trimEnd().split('\n');
}
