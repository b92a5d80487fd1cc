// Merged lists from end to end: a local engine on a unix socket, two agents behind real TLS, containers that come and
// go while 64 lists are under way.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http, { type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as tick } from 'node:timers/promises';
import { createViews, type FakePeer, startFakePeer, type Views } from '../../test/support/fake-peer.ts';
import { createTestIdentity } from '../../test/support/identity.ts';
import { AgentError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { createPeerTransports, type PeerTransports } from './agent-transport.ts';
import { type Breakers, createBreakers } from './breakers.ts';
import { createEngineTransport, type EngineTransport } from './engine-transport.ts';
import { createLists, type ListAnswer, type Lists } from './lists.ts';

const never = new AbortController().signal;
/** For nodes that answer: a machine with much to do may let them wait. */
const patientMs = 15_000;
const list = {
  method: 'GET',
  path: '/containers/json',
  rawHeaders: ['Accept-Encoding', 'gzip', 'Host', 'x'],
};

describe('lists', () => {
  let folder: string;
  let engineServer: http.Server;
  let serveEngine: RequestListener;
  let engineRequests: http.IncomingHttpHeaders[];
  let engine: EngineTransport;
  let peers: readonly FakePeer[];
  let views: Views;
  let transports: PeerTransports;
  let breakers: Breakers;
  let lists: Lists;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flotilla-lists-'));
    const socketPath = join(folder, 'docker.sock');
    engineRequests = [];
    serveEngine = answering(() => '[{"Id":"own"}]');
    engineServer = http.createServer((req, res) => {
      engineRequests.push(req.headers);
      serveEngine(req, res);
    });
    engineServer.listen(socketPath);
    await once(engineServer, 'listening');
    engine = createEngineTransport({ socketPath });
    peers = await Promise.all([startFakePeer('node-2'), startFakePeer('node-3')]);
    for (const peer of peers) peer.serve(answering(() => `[{"Id":"of ${peer.member.record.nodeName}"}]`));
    views = createViews(peers.map(({ member }) => member));
    transports = createPeerTransports(views, { ...(await createTestIdentity()), passSignature: false });
    breakers = createBreakers({ ...views, probe: transports.probe, log: silentLogger });
    transports.start();
    breakers.start();
    lists = createLists(
      { engine, askMember: transports.fetchDecorated, breakers, nodeName: () => 'self', now: () => 9_000 },
      { memberTimeoutMs: patientMs, slowMemberTimeoutMs: patientMs, passSignature: false },
    );
  });

  afterEach(async () => {
    breakers.stop();
    await Promise.all([transports.stop(), engine.close()]);
    engineServer.close();
    await once(engineServer, 'close');
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    await rm(folder, { recursive: true });
  });

  const merge = (path = list.path): Promise<ListAnswer> =>
    lists.merge(
      path.startsWith('/volumes') ? 'volumes' : 'containers',
      { ...list, path },
      views.view(),
      never,
    );

  it('merges the own decorated part with those of the members, and counts who answered', async () => {
    const { status, headers, body } = await merge();
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body.toString()), [
      { Id: 'own', Portainer: { Agent: { NodeName: 'self' } } },
      { Id: 'of node-2' },
      { Id: 'of node-3' },
    ]);
    assert.deepEqual(headers, [
      'Content-Type',
      'application/json',
      'Flotilla-Nodes',
      'asked=3, answered=3, missing=0',
    ]);
    assert.equal(peers[0]?.requests[0]?.headers['flotilla-decorate'], 'portainer');
  });

  it('asks nobody for a compressed part', async () => {
    await merge();
    assert.equal(engineRequests[0]?.['accept-encoding'], undefined);
    assert.equal(peers[0]?.requests[0]?.headers['accept-encoding'], undefined);
  });

  it('is 200 and empty when nobody has an answer, and says so', async () => {
    serveEngine = (_req, res) =>
      res.writeHead(400, { 'Content-Type': 'application/json' }).end('{"message":"bad"}');
    for (const peer of peers) peer.serve(serveEngine);
    const { status, headers, body } = await merge('/volumes?filters=x');
    assert.equal(status, 200);
    assert.equal(body.toString(), '{"Volumes":[]}');
    const age = ';reason=bad-answer;status=400;age=0';
    assert.deepEqual(headers.slice(2), [
      'Flotilla-Nodes',
      'asked=3, answered=0, missing=3',
      'Flotilla-Missing',
      `self${age}, node-2${age}, node-3${age}`,
    ]);
  });

  it('says when the own engine is gone or sends a broken list', async () => {
    serveEngine = answering(() => '[{"Id":"own"');
    assert.match((await merge()).headers.join(), /answered=2.*self;reason=bad-answer/);
    serveEngine = (req) => void req.socket.destroy();
    assert.match((await merge()).headers.join(), /answered=2.*self;reason=engine-gone;age/);
  });

  it('says when the engine of a member is gone', async () => {
    serveEngine = (req) => void req.socket.destroy();
    const { status, body } = await lists.servePart('containers', 'portainer', list, never);
    assert.deepEqual([status, body.length], [502, 0]);
    serveEngine = answering(() => '[]');
    peers[0]?.serve((_req, res) => res.writeHead(status).end(body));
    assert.match((await merge()).headers.join(), /answered=2.*node-2;reason=engine-gone;age/);
  });

  it('serves the own part decorated to other agents, and passes the word of the engine', async () => {
    const part = await lists.servePart('containers', 'portainer', list, never);
    assert.equal(part.body.toString(), '[{"Id":"own","Portainer":{"Agent":{"NodeName":"self"}}}]');
    assert.deepEqual(part.headers, ['Content-Type', 'application/json']);
    const [labelled, marked] = await Promise.all([
      lists.servePart('containers', 'label', list, never),
      lists.servePart('containers', 'portainer', list, never),
    ]);
    assert.equal(labelled.body.toString(), '[{"Id":"own","Labels":{"flotilla.node":"self"}}]');
    assert.equal(marked.body.toString(), part.body.toString());
    serveEngine = (_req, res) => res.writeHead(400, { 'content-type': 'text/plain' }).end('bad filter');
    const refused = await lists.servePart('containers', 'portainer', list, never);
    assert.deepEqual(
      { ...refused, body: refused.body.toString() },
      {
        status: 400,
        headers: ['content-type', 'text/plain'],
        body: 'bad filter',
      },
    );
    serveEngine = answering(() => '[1]');
    await assert.rejects(lists.servePart('containers', 'portainer', list, never), AgentError);
  });

  it('shares an answer between requests that wait, in one view, and with one signature where members verify it', async () => {
    const signed = createLists(
      { engine, askMember: transports.fetchDecorated, breakers, nodeName: () => 'self' },
      { memberTimeoutMs: patientMs, slowMemberTimeoutMs: patientMs, passSignature: true },
    );
    const ask = (of: Lists, signature: string): Promise<ListAnswer> => {
      const rawHeaders = ['X-PortainerAgent-Signature', signature];
      return of.merge('containers', { ...list, rawHeaders }, views.view(), never);
    };
    const asked = (): number => peers[0]?.requests.length ?? 0;
    await Promise.all([ask(lists, 'a'), ask(lists, 'a'), ask(lists, 'b'), ask(lists, 'c')]);
    assert.equal(asked(), 2);
    await Promise.all([ask(signed, 'a'), ask(signed, 'b'), ask(signed, 'c')]);
    assert.equal(asked(), 5);
    const [, peer] = peers;
    const before = Promise.all([ask(lists, 'a'), ask(lists, 'a')]);
    views.change(peer === undefined ? [] : [peer.member]);
    assert.match((await ask(lists, 'a')).headers.join(), /asked=2, answered=2/);
    await before;
  });

  it('goes on for the others when one of those who share an answer leaves', async () => {
    const controller = new AbortController();
    const first = merge();
    const leaving = lists.merge('containers', list, views.view(), controller.signal);
    const staying = merge();
    controller.abort();
    await assert.rejects(leaving, (error) => error instanceof AgentError && error.code === 'cancelled');
    assert.equal((await first).status, 200);
    assert.match((await staying).headers.join(), /answered=3/);
  });

  it('gives `size=1` the slow deadline', async () => {
    lists = createLists(
      { engine, askMember: transports.fetchDecorated, breakers, nodeName: () => 'self' },
      { memberTimeoutMs: 300, slowMemberTimeoutMs: patientMs, passSignature: false },
    );
    serveEngine = (_req, res) =>
      void setTimeout(
        answering(() => '[{"Id":"slow"}]'),
        1_000,
        _req,
        res,
      );
    assert.match((await merge('/containers/json?all=1&size=1')).headers.join(), /answered=3/);
    assert.match((await merge('/containers/json?all=1')).headers.join(), /self;reason=timeout/);
  });

  it('has every container exactly once in 2,000 lists at 64 at a time, while others come and go', async () => {
    const nodes = ['self', 'node-2', 'node-3'].map((name) => createNode(name));
    serveEngine = nodes[0]?.listener ?? assert.fail();
    for (const [index, peer] of peers.entries()) peer.serve(nodes[index + 1]?.listener ?? assert.fail());
    const stable = nodes.flatMap((node) => node.stable);
    let left = 2_000;
    const work = async (): Promise<void> => {
      while (left-- > 0) {
        for (const node of nodes) node.change();
        const { headers, body } = await merge();
        assert.match(headers.join(), /answered=3, missing=0/);
        const ids = (JSON.parse(body.toString()) as { Id: string }[]).map(({ Id }) => Id);
        assert.equal(new Set(ids).size, ids.length, 'a container came twice');
        const seen = new Set(ids);
        assert.deepEqual(
          stable.filter((id) => !seen.has(id)),
          [],
        );
        if (Math.random() < 0.2) await tick();
      }
    };
    await Promise.all(Array.from({ length: 64 }, work));
    assert.ok(engineRequests.length < 2_000, `${engineRequests.length} engine calls for 2,000 lists`);
  }).timeout(20_000);
});

function answering(body: () => string): RequestListener {
  return (_req, res) => {
    res.writeHead(200, { 'Content-Type': 'application/json' });
    res.end(body());
  };
}

/** A node with 20 containers that stay and others that come and go, answering in pieces and after random turns. */
function createNode(name: string): { stable: string[]; change: () => void; listener: RequestListener } {
  const stable = Array.from({ length: 20 }, (_, index) => `${name}/stable-${index}`);
  let passing: string[] = [];
  let count = 0;
  return {
    stable,
    change(): void {
      passing = [...passing, `${name}/passing-${count++}`].filter(() => Math.random() < 0.8);
    },
    listener: (_req, res) => {
      const text = JSON.stringify([...stable, ...passing].map((Id) => ({ Id, Labels: { '}],[{': '"' } })));
      const cut = Math.floor(Math.random() * text.length);
      res.writeHead(200, { 'Content-Type': 'application/json' });
      res.write(text.slice(0, cut));
      if (Math.random() < 0.5) res.end(text.slice(cut));
      else setImmediate(() => res.end(text.slice(cut)));
    },
  };
}
