// One stream of three engines: how it begins, what a client gets of history and of what happens, in which form, when it
// ends, and how it is refused.

import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { text } from 'node:stream/consumers';
import { idOf } from '../../../test/support/event-client.ts';
import {
  deathOf,
  type EventCluster,
  memberTimeoutMs,
  startEventCluster,
} from '../../../test/support/event-cluster.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { connectRaw } from '../../../test/support/raw-http.ts';
import type { Member } from '../../cluster/cluster.ts';

/** Less than the deadline for nodes, and more than a machine with much to do takes for what is done at once. */
const promptMs = memberTimeoutMs / 2;

describe('events', () => {
  let cluster: EventCluster;

  beforeEach(async () => {
    cluster = await startEventCluster();
  });

  afterEach(() => cluster[Symbol.asyncDispose]());

  it('begins at once, names each node, and keeps the order of each', async () => {
    const { engines } = cluster;
    const client = await cluster.follow();
    assert.equal(client.response.statusCode, 200);
    assert.equal(client.response.headers['content-type'], 'application/json');
    assert.equal(client.response.headers['flotilla-nodes'], 'asked=3, answered=3, missing=0');
    assert.equal(client.response.headers['api-version'], '1.41');
    assert.equal(client.response.headers.trailer, undefined);
    const timeNs = engines[1].happen({ id: 'a' });
    await client.shows(['node-2/a']);
    assert.match(client.lines[0] ?? '', new RegExp(`"timeNano":${timeNs}}$`));
    const ids = Array.from({ length: 300 }, (_, count) => `x${count}`);
    for (const id of ids) for (const each of engines) each.happen({ id });
    await eventually(() => client.lines.length === 901);
    for (const node of ['node-1', 'node-2', 'node-3']) {
      const expected = ids.map((id) => `${node}/${id}`);
      assert.deepEqual(client.ofNode(node), node === 'node-2' ? ['node-2/a', ...expected] : expected);
    }
    assert.deepEqual(
      engines.map(({ queries }) => queries),
      [[''], [''], ['']],
    );
  });

  it('orders the history of all by time, and then passes what happens', async () => {
    const { engines } = cluster;
    const order: string[] = [];
    for (let count = 0; count < 60; count += 1) {
      const at = count % 3;
      engines[at]?.happen({ id: `h${count}` });
      order.push(`node-${at + 1}/h${count}`);
    }
    const client = await cluster.follow('?since=1');
    engines[2].happen({ id: 'live' });
    await client.shows([...order, 'node-3/live']);
    engines[0].happen({ id: 'later' });
    await client.shows([...order, 'node-3/live', 'node-1/later']);
  });

  it('tells a client of HTTP/1.0 what was, without the trailers that it has not, and leaves nothing open', async () => {
    const { engines, port } = cluster;
    engines[1].happen({ id: 'old' });
    const until = String(Math.floor(Date.now() / 1_000) + 1);
    await using connection = await connectRaw({ kind: 'tcp', host: '127.0.0.1', port });
    await connection.send(`GET /v1.41/events?until=${until} HTTP/1.0\r\nHost: docker\r\n\r\n`);
    const answer = (await connection.rest()).toString();
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.match(answer, /"ID":"old"/);
    assert.doesNotMatch(answer, /\r\nTrailer:/);
    await cluster.noneOpen();
  });

  it('waits for a node that does not answer no longer than the deadline, and takes it in when it does', async () => {
    const { engines } = cluster;
    cluster.settings.memberTimeoutMs = 1_000;
    cluster.serve(3, () => undefined);
    engines[0].happen({ id: 'old' });
    engines[2].happen({ id: 'late' });
    const startedMs = performance.now();
    const client = await cluster.follow('?since=1');
    await client.shows(['node-1/old']);
    assert.ok(performance.now() - startedMs < promptMs);
    assert.match(String(client.response.headers['flotilla-missing']), /^node-3;reason=timeout/);
    cluster.serve(3, engines[2].serve);
    await client.shows(['node-1/old', 'node-3/late']);
  });

  it('tells what happened to the swarm once, whoever tells it, and of no node', async () => {
    const { engines, views } = cluster;
    views.change([managerOf(cluster.peers[0].member), managerOf(cluster.peers[1].member)]);
    const client = await cluster.follow();
    await cluster.allOpen();
    const timeNs = engines[0].happen({ id: 'begin' });
    const service = { Type: 'service', id: 's', scope: 'swarm' } as const;
    engines[1].happen({ ...service, Action: 'create', timeNs });
    await client.shows(['node-1/begin', 's']);
    assert.doesNotMatch(client.lines[1] ?? '', /flotilla\.node/);
    engines[2].happen({ ...service, Action: 'create', timeNs });
    engines[2].happen({ ...service, Action: 'remove' });
    engines[1].happen({ ...service, Action: 'remove' });
    await client.shows(['node-1/begin', 's', 's']);
    // The other manager goes on alone, and the first repeats nothing when it is back.
    engines[1].cut();
    engines[2].happen({ ...service, id: 't', timeNs: timeNs + 1n });
    engines[1].happen({ ...service, id: 't', timeNs: timeNs + 1n });
    await cluster.allOpen();
    engines[1].happen({ id: 'back' });
    await client.shows(['node-1/begin', 's', 's', 't', 'node-2/back']);
  });

  it('chooses nodes by a filter that no engine sees, and keeps what the swarm says of them', async () => {
    const { engines, views, peers } = cluster;
    views.change([peers[0].member, managerOf(peers[1].member)]);
    const filters = encodeURIComponent(JSON.stringify({ type: ['container'], node: ['node-2'] }));
    const client = await cluster.follow(`?filters=${filters}`);
    assert.equal(client.response.headers['flotilla-nodes'], 'asked=1, answered=1, missing=0');
    await eventually(() => engines[1].streams() + engines[2].streams() === 2);
    assert.equal(engines[0].queries.length, 0);
    assert.equal(decodeURIComponent(engines[1].queries[0] ?? ''), '?filters={"type":["container"]}');
    engines[2].happen({ id: 'elsewhere' });
    engines[2].happen({ id: 'of another', scope: 'swarm' });
    engines[2].happen({ id: 'n', name: 'node-2', scope: 'swarm' });
    await client.shows(['n']);
    engines[1].happen({ id: 'here' });
    await client.shows(['n', 'node-2/here']);
  });

  it('ends when the history is told, and names who could not tell his', async () => {
    const { engines, views, peers } = cluster;
    for (const [at, each] of engines.entries())
      each.happen({ id: `h${at}`, timeNs: 1_000_000_000n + BigInt(at) });
    views.change([peers[0].member], [deathOf(peers[1].member)]);
    const startedMs = performance.now();
    const response = await cluster.request('?since=1&until=2');
    const body = await text(response);
    assert.ok(performance.now() - startedMs < memberTimeoutMs);
    assert.deepEqual(idsOf(body), ['node-1/h0', 'node-2/h1']);
    assert.equal(response.headers.trailer, 'Flotilla-Nodes, Flotilla-Missing');
    assert.equal(response.trailers['flotilla-nodes'], 'asked=3, answered=2, missing=1');
    assert.match(response.trailers['flotilla-missing'] ?? '', /^node-3;reason=dead/);
  });

  it('ends at a time to come, whoever is away then', async () => {
    const { engines } = cluster;
    const untilMs = Date.now() + 2_500;
    const client = await cluster.follow(`?until=${untilMs / 1_000}`);
    const ended = new Promise((resolve) => client.response.once('end', resolve));
    engines[1].happen({ id: 'a' });
    await client.shows(['node-2/a']);
    cluster.serve(2, (_req, res) => void res.socket?.destroy());
    engines[1].cut();
    await ended;
    const lateMs = Date.now() - untilMs;
    assert.ok(lateMs >= 0 && lateMs < promptMs, `${lateMs} ms after its time`);
    assert.equal(client.response.headers['flotilla-nodes'], 'asked=3, answered=3, missing=0');
    assert.match(client.response.trailers['flotilla-missing'] ?? '', /^node-2;reason=/);
  });

  it('ends at its time beside an engine that does not', async () => {
    const deadlineMs = 1_000;
    cluster.settings.memberTimeoutMs = deadlineMs;
    const untilMs = Date.now() + 200;
    cluster.serve(2, (_req, res) => void res.writeHead(200).write('\n'));
    const response = await cluster.request(`?until=${untilMs / 1_000}`);
    await text(response);
    const lateMs = Date.now() - untilMs;
    assert.ok(lateMs >= deadlineMs - 50 && lateMs < promptMs, `${lateMs} ms after its time`);
    assert.match(response.trailers['flotilla-missing'] ?? '', /^node-2;reason=timeout/);
  });

  it('ends at its time where no node is chosen that there is', async () => {
    const untilMs = Date.now() + 200;
    const filters = encodeURIComponent('{"node":{"nowhere":true}}');
    const response = await cluster.request(`?until=${untilMs / 1_000}&filters=${filters}`);
    assert.equal(await text(response), '');
    assert.ok(Date.now() >= untilMs);
  });

  it('refuses as all engines do', async () => {
    for (const node of [1, 2, 3]) cluster.serve(node, refusing(400, 'invalid filter'));
    const response = await cluster.request('?filters=%7B%22x%22%3A%5B%22y%22%5D%7D');
    assert.equal(response.statusCode, 400);
    assert.deepEqual(JSON.parse(await text(response)), { message: 'invalid filter' });
    assert.equal(response.headers['api-version'], '1.41');
  });

  it('answers 503 where nobody has events, and where strictness allows no hole', async () => {
    const breaking: RequestListener = (_req, res) => void res.socket?.destroy();
    cluster.settings.strict = true;
    cluster.serve(2, breaking);
    const holed = await cluster.request();
    assert.equal(holed.statusCode, 503);
    assert.match(await text(holed), /node-2/);
    await cluster.noneOpen();
    cluster.settings.strict = false;
    for (const node of [1, 3]) cluster.serve(node, breaking);
    const empty = await cluster.request();
    assert.equal(empty.statusCode, 503);
    assert.match(await text(empty), /node-1 \(engine-gone\)/);
  });

  it('gives events as a sequence to a client that wants one', async () => {
    const { views, peers } = cluster;
    const newer = (member: Member): Member => ({
      ...member,
      record: { ...member.record, apiVersion: '1.52' },
    });
    const self = newer(views.view().self);
    const view = { ...views.view(), self, members: [self, ...peers.map(({ member }) => newer(member))] };
    views.view = () => view;
    const client = await cluster.follow('', { Accept: 'application/json-seq' });
    assert.equal(client.response.headers['content-type'], 'application/json-seq');
    cluster.engines[0].happen({ id: 'a' });
    await eventually(() => client.lines.length === 1);
    assert.equal(client.lines[0]?.[0], '\x1e');
  });
});

function refusing(status: number, message: string): RequestListener {
  return (_req, res) => {
    res.writeHead(status, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ message }));
  };
}

function managerOf(member: Member): Member {
  return { ...member, record: { ...member.record, role: 'manager' } };
}

function idsOf(body: string): readonly string[] {
  return body.trimEnd().split('\n').map(idOf);
}
