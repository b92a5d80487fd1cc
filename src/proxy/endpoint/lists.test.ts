// Lists of the cluster socket from end to end: a local engine on a unix socket and two members behind real TLS that list
// what the test says, filters and limits included.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http, { type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createViews, type FakePeer, startFakePeer, type Views } from '../../../test/support/fake-peer.ts';
import { createTestIdentity } from '../../../test/support/identity.ts';
import { type Answer, dockerError } from '../../exchange.ts';
import { silentLogger } from '../../log.ts';
import { createPeerTransports, type PeerTransports } from '../agent-transport.ts';
import { type Breakers, createBreakers } from '../breakers.ts';
import type { ListKind } from '../classify.ts';
import { createEngineTransport, type EngineTransport } from '../engine-transport.ts';
import { createLists } from '../lists.ts';
import { parseQuery } from '../query.ts';
import type { EndpointCall } from './call.ts';
import { createEndpointLists, type EndpointLists, type LookupMark } from './lists.ts';

const never = new AbortController().signal;
/** For nodes that answer: a machine with much to do may let them wait. */
const patientMs = 15_000;

describe('endpoint lists', () => {
  let folder: string;
  let engineServer: http.Server;
  let serveEngine: RequestListener;
  let engineUrls: string[];
  let engine: EngineTransport;
  let peers: readonly FakePeer[];
  let views: Views;
  let transports: PeerTransports;
  let breakers: Breakers;
  let lookup: LookupMark;
  let lists: EndpointLists;

  const createLocal = (
    members: 'asked' | 'no-cluster-secret',
    memberTimeoutMs = patientMs,
  ): EndpointLists => {
    const timeouts = { memberTimeoutMs, slowMemberTimeoutMs: patientMs };
    const own = createLists(
      { engine, askMember: transports.fetchDecorated, breakers, nodeName: () => 'self' },
      { ...timeouts, passSignature: false },
    );
    return createEndpointLists(
      {
        ownPart: own.ownPart,
        memberPart: transports.fetchDecorated,
        breakers,
        lookup: (resource, name, asked) => lookup(resource, name, asked),
        now: () => 9_000,
      },
      { ...timeouts, members },
    );
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flotilla-endpoint-lists-'));
    const socketPath = join(folder, 'docker.sock');
    engineUrls = [];
    serveEngine = answering('[]');
    engineServer = http.createServer((req, res) => {
      engineUrls.push(req.url ?? '');
      serveEngine(req, res);
    });
    engineServer.listen(socketPath);
    await once(engineServer, 'listening');
    engine = createEngineTransport({ socketPath });
    peers = await Promise.all([startFakePeer('node-2'), startFakePeer('node-3')]);
    for (const peer of peers) peer.serve(answering('[]'));
    views = createViews(peers.map(({ member }) => member));
    transports = createPeerTransports(views, { ...(await createTestIdentity()), passSignature: false });
    breakers = createBreakers({ ...views, probe: transports.probe, log: silentLogger });
    transports.start();
    breakers.start();
    lookup = () => Promise.resolve(dockerError(404, 'not expected'));
    lists = createLocal('asked');
  });

  afterEach(async () => {
    breakers.stop();
    await Promise.all([transports.stop(), engine.close()]);
    engineServer.close();
    await once(engineServer, 'close');
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    await rm(folder, { recursive: true });
  });

  const run = (kind: ListKind, query = '', call: Partial<EndpointCall> = {}): Promise<Answer> => {
    const path = { containers: '/containers/json', images: '/images/json' }[kind as string] ?? `/${kind}`;
    return lists[kind]({
      method: 'GET',
      target: { path, rawPath: path, query, version: undefined },
      params: {},
      rawHeaders: ['Accept-Encoding', 'gzip'],
      view: views.view(),
      signal: never,
      strict: false,
      ...call,
    });
  };
  const peer = (index: number): FakePeer => peers[index] ?? assert.fail();
  const urlsOf = (index: number): string[] => peer(index).requests.map(({ url }) => url);
  const idsOf = ({ body }: Answer): unknown[] =>
    JSON.parse(body.toString()).map((item: Record<string, unknown>) => item.Id ?? item.Name);

  it('orders the containers of all nodes, sends the limit to each and cuts', async () => {
    serveEngine = answering('[{"Id":"c","Created":3},{"Id":"a","Created":1,"Labels":{}}]');
    peer(0).serve(answering('[{"Id":"d","Created":3,"Labels":{"flotilla.node":"node-2"}}]\n'));
    peer(1).serve(answering('[{"Id":"b","Created":2}]'));
    const answer = await run('containers', '?limit=3&all=0');
    assert.equal(answer.status, 200);
    assert.equal(
      answer.body.toString(),
      '[{"Id":"c","Created":3,"Labels":{"flotilla.node":"self"}},' +
        '{"Id":"d","Created":3,"Labels":{"flotilla.node":"node-2"}},{"Id":"b","Created":2}]\n',
    );
    assert.deepEqual(answer.headers, [
      'Content-Type',
      'application/json',
      'Flotilla-Nodes',
      'asked=3, answered=3, missing=0',
    ]);
    assert.deepEqual(engineUrls, ['/containers/json?limit=3&all=0']);
    assert.deepEqual(urlsOf(0), engineUrls);
    assert.equal(peer(0).requests[0]?.headers['flotilla-decorate'], 'label');
    assert.equal(peer(0).requests[0]?.headers['accept-encoding'], undefined);
  });

  it('asks in the version of the client, and volumes and networks where they are', async () => {
    const target = { path: '/networks/', rawPath: '/networks/', query: '', version: 'v1.40' };
    await run('networks', '', { target });
    assert.deepEqual([engineUrls, urlsOf(0)], [['/v1.40/networks'], ['/v1.40/networks']]);
    serveEngine = answering('{"Volumes":[{"Name":"v"}],"Warnings":["w"]}');
    for (const each of peers) each.serve(answering('{"Volumes":null,"Warnings":null}'));
    const { body } = await run('volumes', '?x=1');
    const Volumes = [{ Name: 'v', Labels: { 'flotilla.node': 'self' } }];
    assert.deepEqual(JSON.parse(body.toString()), { Volumes, Warnings: ['self: w'] });
    assert.equal(urlsOf(1).at(-1), '/volumes?x=1');
  });

  it('asks only the nodes that the filter names, and no engine for it', async () => {
    peer(1).serve(answering('[{"Id":"x"}]'));
    const answer = await run(
      'images',
      filters({ node: { 'node-3': true, nobody: true }, dangling: { true: true } }),
    );
    assert.deepEqual(idsOf(answer), ['x']);
    assert.match(answer.headers.join(), /asked=1, answered=1/);
    assert.deepEqual([engineUrls, urlsOf(0)], [[], []]);
    assert.deepEqual(urlsOf(1), [`/images/json${filters({ dangling: { true: true } })}`]);
  });

  it('is empty for a node that does not exist, and 503 for one that is gone', async () => {
    serveEngine = answering('[{"Id":"x"}]');
    const nobody = await run('containers', filters({ node: ['nobody'] }));
    assert.deepEqual([nobody.status, nobody.body.toString()], [200, '[]\n']);
    views.change([], [{ nodeName: 'node-9', engineId: 'e', reason: 'dead', sinceMs: 0 }]);
    const gone = await run('containers', filters({ node: ['node-9'] }));
    assert.equal(gone.status, 503);
    assert.match(gone.body.toString(), /node-9 \(dead\)/);
  });

  it('lets a bad filter be refused by the engine, even beside a node that does not exist', async () => {
    serveEngine = refusing(400, 'invalid filter');
    for (const each of peers) each.serve(serveEngine);
    for (const query of [
      '?filters=x',
      filters({ bogus: ['1'] }),
      filters({ node: ['nobody'], bogus: ['1'] }),
    ]) {
      const { status, body } = await run('containers', query);
      assert.deepEqual([status, body.toString()], [400, '{"message":"invalid filter"}'], query);
    }
    assert.equal(urlsOf(0)[0], '/containers/json?filters=x');
  });

  it('names who is missing, and answers 503 for a hole where none is allowed, or for nobody', async () => {
    peer(0).serve((_req, res) => void res.writeHead(502).end());
    peer(1).serve(answering('[{"Id":'));
    const partial = await run('networks');
    assert.equal(partial.status, 200);
    assert.match(partial.headers.join(), /node-2;reason=engine-gone.*node-3;reason=bad-answer/);
    assert.equal((await run('networks', '', { strict: true })).status, 503);
    serveEngine = (req) => void req.socket.destroy();
    const nobody = await run('networks');
    assert.equal(nobody.status, 503);
    assert.match(nobody.body.toString(), /self \(engine-gone\)/);
  });

  it('asks nobody but the local engine without a cluster secret', async () => {
    serveEngine = answering('[{"Id":"x"}]');
    lists = createLocal('no-cluster-secret');
    const answer = await run('containers');
    assert.deepEqual(idsOf(answer), ['x']);
    assert.match(answer.headers.join(), /answered=1, missing=2.*no-cluster-secret/);
    assert.deepEqual(urlsOf(0), []);
  });

  it('gives lists that make engines count bytes the slow deadline', async () => {
    lists = createLocal('asked', 1_000);
    const slow: RequestListener = (_req, res) => void setTimeout(answering('[]'), 2_000, _req, res);
    for (const each of peers) each.serve(slow);
    assert.match((await run('containers', '?size=yes')).headers.join(), /answered=3/);
    assert.match((await run('containers', '?size=0')).headers.join(), /answered=1.*timeout/);
  });

  it('sends `before` and `since` to the node that has the container, and cuts what the others have', async () => {
    const all =
      '[{"Id":"n","Created":9},{"Id":"m","Created":7},{"Id":"a","Created":5},{"Id":"o","Created":3}]';
    serveEngine = answering(all);
    peer(0).serve(answering('[{"Id":"p","Created":4}]'));
    peer(1).serve(answering('[]'));
    lookup = (resource, name) =>
      Promise.resolve(
        resource === 'container'
          ? { members: [peer(0).member], id: 'full l', name: `full ${name}`, createdMs: 5_900 }
          : dockerError(500, 'no image'),
      );
    const { headers, body } = await run('containers', `${filters({ before: ['l'], status: ['x'] })}&limit=2`);
    assert.deepEqual(idsOf({ status: 200, headers, body }), ['p', 'o']);
    assert.deepEqual(sentTo(urlsOf(0)[0]), { filters: { status: ['x'], before: ['full l'] }, limit: '2' });
    assert.deepEqual(sentTo(engineUrls[0]), { filters: { status: ['x'] }, all: '1' });

    peer(0).serve(answering('[{"Id":"q","Created":8}]'));
    const newer = await run('containers', `${filters({ since: ['l'] })}&limit=2`);
    assert.deepEqual(idsOf(newer), ['n', 'q']);
    assert.deepEqual(sentTo(urlsOf(0)[1]), { filters: { since: ['full l'] }, limit: '2' });
    assert.deepEqual(sentTo(engineUrls[1]), { filters: {}, limit: '2' });
  });

  it('sends `since` to the nodes that have the image, and cuts what the others have', async () => {
    serveEngine = answering('[{"Id":"o","Created":3},{"Id":"n","Created":9}]');
    peer(0).serve(answering('[{"Id":"p","Created":4}]'));
    lookup = (resource, name) =>
      Promise.resolve(
        resource === 'image'
          ? { members: [peer(0).member, peer(1).member], id: 'sha256:i', name, createdMs: 5_000 }
          : dockerError(500, 'no container'),
      );
    assert.deepEqual(idsOf(await run('images', filters({ since: { i: true } }))), ['n', 'p']);
    assert.deepEqual(sentTo(urlsOf(1)[0]), { filters: { since: { i: true } } });
    assert.deepEqual(sentTo(engineUrls[0]), { filters: {} });
    // Volumes and networks have no such filter, and their engines say so.
    await run('networks', filters({ since: ['i'] }));
    assert.deepEqual(sentTo(engineUrls[1]), { filters: { since: ['i'] } });
  });

  it('answers in the words of the engine where nobody has the container', async () => {
    serveEngine = refusing(500, 'no such container x');
    lookup = () => Promise.resolve(dockerError(404, 'No such container: x'));
    const { status, body } = await run('containers', filters({ before: ['x'] }));
    assert.deepEqual([status, body.toString()], [500, '{"message":"no such container x"}']);
    assert.deepEqual(sentTo(engineUrls[0]), { filters: { before: ['x'] } });
    lookup = () => Promise.resolve(dockerError(409, 'two of them'));
    assert.equal((await run('containers', filters({ since: ['x'] }))).status, 409);
  });

  it('shares an answer between identical lists alone', async () => {
    const asked = (): number => urlsOf(0).length;
    await Promise.all([run('images'), run('images'), run('images'), run('images')]);
    assert.equal(asked(), 2);
    await Promise.all([
      run('images', '?all=1'),
      run('images', '', { strict: true }),
      run('containers'),
      run('images', '?all=1', {
        target: { path: '/images/json', rawPath: '/images/json', query: '?all=1', version: 'v1.40' },
      }),
    ]);
    assert.equal(asked(), 6);
  });
});

function answering(body: string): RequestListener {
  return (_req, res) => void res.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
}

function refusing(status: number, message: string): RequestListener {
  return (_req, res) =>
    void res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ message }));
}

function filters(value: unknown): string {
  return `?filters=${encodeURIComponent(JSON.stringify(value))}`;
}

/** A query as an engine reads it. */
function sentTo(url = ''): unknown {
  const pairs = parseQuery(url.slice(url.indexOf('?'))) ?? assert.fail(url);
  return Object.fromEntries(
    pairs.map(({ name, value }) => [name, name === 'filters' ? JSON.parse(value) : value]),
  );
}
