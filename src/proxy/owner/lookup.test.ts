// Lookups from end to end: a local engine on a unix socket and two agents behind real TLS, each with containers of its
// own that it ranks as an engine does. Who is asked what, and what is remembered.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http, { type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createViews, type FakePeer, startFakePeer, type Views } from '../../../test/support/fake-peer.ts';
import { createTestIdentity } from '../../../test/support/identity.ts';
import { AgentError } from '../../errors.ts';
import { silentLogger } from '../../log.ts';
import { createPeerTransports, type PeerTransports } from '../agent-transport.ts';
import { type Breakers, createBreakers } from '../breakers.ts';
import { createAsk } from '../endpoint/ask.ts';
import { createEngineTransport, type EngineTransport } from '../engine-transport.ts';
import type { OwnedResource } from '../routes/route.ts';
import { createLookup, type Lookup, type LookupCall } from './lookup.ts';
import type { Found } from './rank.ts';

const nowMs = 9_000;
const idOf = (digit: string): string => digit.repeat(64);

interface Thing {
  readonly id: string;
  readonly name: string;
}

interface Place {
  things: Thing[];
  /** The targets that it was asked for, since the last look. */
  readonly asked: string[];
}

describe('lookup', () => {
  let folder: string;
  let engineServer: http.Server;
  let serveEngine: RequestListener;
  let engineHeaders: http.IncomingHttpHeaders[];
  let engine: EngineTransport;
  let peers: readonly FakePeer[];
  let views: Views;
  let transports: PeerTransports;
  let breakers: Breakers;
  let lookup: Lookup;
  const places: Record<'self' | 'n2' | 'n3', Place> = { self: place(), n2: place(), n3: place() };

  beforeEach(async () => {
    for (const each of Object.values(places)) clear(each);
    folder = await mkdtemp(join(tmpdir(), 'flotilla-lookup-'));
    const socketPath = join(folder, 'docker.sock');
    engineHeaders = [];
    serveEngine = serving(places.self);
    engineServer = http.createServer((req, res) => {
      engineHeaders.push(req.headers);
      serveEngine(req, res);
    });
    engineServer.listen(socketPath);
    await once(engineServer, 'listening');
    engine = createEngineTransport({ socketPath });
    peers = await Promise.all([startFakePeer('n2'), startFakePeer('n3')]);
    peers[0]?.serve(serving(places.n2));
    peers[1]?.serve(serving(places.n3));
    views = createViews(peers.map(({ member }) => member));
    transports = createPeerTransports(views, { ...(await createTestIdentity()), passSignature: true });
    breakers = createBreakers({ ...views, probe: transports.probe, log: silentLogger });
    transports.start();
    breakers.start();
    lookup = create('asked');
  });

  afterEach(async () => {
    breakers.stop();
    await Promise.all([transports.stop(), engine.close()]);
    engineServer.close();
    await once(engineServer, 'close');
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    await rm(folder, { recursive: true });
  });

  function create(
    members: 'asked' | 'no-cluster-secret',
    maxKnownOwners = 100,
    memberTimeoutMs = 15_000,
  ): Lookup {
    const ask = createAsk(
      {
        engine: engine.fetch,
        member: (member, request, limits) => transports.to(member).fetch(request, limits),
        breakers,
        now: () => nowMs,
      },
      { memberTimeoutMs, slowMemberTimeoutMs: memberTimeoutMs, members },
    );
    return createLookup({ ask, now: () => nowMs }, { maxKnownOwners });
  }

  function callOf(more: Partial<LookupCall> & { readonly query?: string } = {}): LookupCall {
    const { query = '', ...rest } = more;
    const target = { path: '', rawPath: '', query, version: undefined };
    return { view: views.view(), signal: new AbortController().signal, rawHeaders: [], target, ...rest };
  }

  const find = (name: string, resource: OwnedResource = 'container'): Promise<Found> =>
    lookup.find(resource, name, callOf());
  const told = async (name: string, resource?: OwnedResource): Promise<string> =>
    verdict(await find(name, resource));
  /** Who was asked since the last time, and how often. */
  const asked = (): string =>
    Object.entries(places)
      .flatMap(([name, { asked: targets }]) => targets.splice(0).map(() => name))
      .join(' ');

  it('finds a full id here without asking others, and remembers it', async () => {
    places.self.things = [{ id: idOf('1'), name: 'web' }];
    const found = await find(idOf('1'));
    assert.equal(verdict(found), 'id self');
    assert.ok(found.kind === 'found' && found.inspect?.status === 200);
    assert.equal(asked(), 'self');
    const again = await find(idOf('1'));
    assert.equal(verdict(again), 'id self');
    assert.ok(again.kind === 'found' && again.inspect === undefined && again.id === idOf('1'));
    assert.equal(asked(), '');
  });

  for (const resource of ['container', 'exec'] as const)
    it(`finds the full id of a ${resource} elsewhere with one question to each, until it is forgotten`, async () => {
      places.n3.things = [{ id: idOf('3'), name: 'web' }];
      assert.equal(await told(idOf('3'), resource), 'id n3');
      assert.equal(asked(), 'self n2 n3');
      assert.equal(await told(idOf('3'), resource), 'id n3');
      assert.equal(asked(), '');
      lookup.forget(idOf('3'));
      places.n3.things = [];
      assert.equal(await told(idOf('3'), resource), 'none');
      assert.equal(asked(), 'self n2 n3');
    });

  it('takes the word of whoever made something, and not that of one who is not here any more', async () => {
    const maker = peers[1]?.member ?? assert.fail();
    lookup.remember(idOf('3'), maker);
    assert.equal(await told(idOf('3')), 'id n3');
    assert.equal(asked(), '');
    views.change([peers[0]?.member ?? assert.fail()]);
    assert.equal(await told(idOf('3')), 'none');
    assert.equal(asked(), 'self n2');
  });

  it('forgets the oldest id at its bound', async () => {
    lookup = create('asked', 2);
    places.n2.things = ['1', '2', '3'].map((digit) => ({ id: idOf(digit), name: `c${digit}` }));
    for (const digit of ['1', '2', '3']) assert.equal(await told(idOf(digit)), 'id n2');
    asked();
    await Promise.all([find(idOf('2')), find(idOf('3'))]);
    assert.equal(asked(), '');
    assert.equal(await told(idOf('1')), 'id n2');
    assert.equal(asked(), 'self n2 n3');
  });

  it('does not take a container for another one that is only called like its full id', async () => {
    places.n2.things = [{ id: idOf('2'), name: idOf('f') }];
    assert.equal(await told(idOf('f')), 'name n2');
    places.n3.things = [{ id: idOf('f'), name: 'web' }];
    assert.equal(await told(idOf('f')), 'id n3');
  });

  it('asks everybody for a name each time, so that a move is seen at once', async () => {
    places.n2.things = [{ id: idOf('2'), name: 'web' }];
    assert.equal(await told('web'), 'name n2');
    assert.equal(asked(), 'self n2 n3');
    places.n2.things = [{ id: idOf('2'), name: 'old' }];
    places.n3.things = [{ id: idOf('3'), name: 'web' }];
    assert.equal(await told('web'), 'name n3');
    assert.equal(await told('/web'), 'name n3');
    assert.equal(await told('33'), 'prefix n3');
    places.self.things = [{ id: idOf('1'), name: 'web' }];
    assert.equal(await told('web'), 'several self n3');
    places.self.things = [];
    places.n3.things = [];
    assert.equal(await told('web'), 'none');
  });

  it('asks only the node that is named in front', async () => {
    for (const each of Object.values(places)) each.things = [{ id: idOf('1'), name: 'web' }];
    assert.equal(await told('n3/web'), 'node n3');
    assert.equal(await told('self/11'), 'node self');
    assert.equal(await told('n2/other'), 'none');
    assert.equal(asked(), 'self n2 n3');
    assert.equal(await told('n9/web'), 'none');
    assert.equal(asked(), 'self n2 n3');
  });

  it('asks only that node of a volume or network, and everybody of an image that may be called so', async () => {
    places.n3.things = [{ id: 'sha256:33', name: 'web' }];
    assert.equal(await told('n3/web', 'volume'), 'node n3');
    assert.equal(await told('n3/web', 'network'), 'node n3');
    assert.equal(asked(), 'n3 n3');
    assert.equal(await told('n3/web', 'image'), 'node n3');
    assert.equal(asked(), 'self n2 n3 n3');
    places.n2.things = [{ id: 'sha256:22', name: 'n3/web' }];
    assert.equal(await told('n3/web', 'image'), 'name n2');
  });

  it('knows nothing of a dead node that is named in front', async () => {
    const missing = { nodeName: 'n4', engineId: 'e4', reason: 'dead', sinceMs: 5 } as const;
    views.change(
      peers.map(({ member }) => member),
      [missing],
    );
    assert.equal(await told('n4/web'), 'none -n4(dead)');
    assert.equal(asked(), '');
    assert.equal(await told('web'), 'none -n4(dead)');
    assert.equal(await told(idOf('1')), 'none -n4(dead)');
  });

  it('says who could not be asked, and why', async () => {
    places.n3.things = [{ id: idOf('3'), name: 'web' }];
    lookup = create('asked', 100, 1_500);
    peers[0]?.serve(() => undefined);
    assert.equal(await told('web'), 'name n3 -n2(timeout)');
    assert.equal(await told('web'), 'name n3 -n2(breaker-open)');
    serveEngine = (req) => void req.socket.destroy();
    assert.equal(await told('web'), 'name n3 -self(engine-gone) -n2(breaker-open)');
    assert.equal(await told(idOf('3')), 'id n3 -self(engine-gone) -n2(breaker-open)');
    peers[1]?.serve((_req, res) => res.writeHead(502).end());
    assert.equal(await told('other'), 'none -self(engine-gone) -n2(breaker-open) -n3(engine-gone)');
  });

  it('asks nobody else for a client without authority there', async () => {
    lookup = create('no-cluster-secret');
    places.self.things = [{ id: idOf('1'), name: 'web' }];
    places.n2.things = [{ id: idOf('2'), name: 'db' }];
    const unasked = '-n2(no-cluster-secret) -n3(no-cluster-secret)';
    assert.equal(await told('web'), `name self ${unasked}`);
    assert.equal(await told('db'), `none ${unasked}`);
    assert.equal(await told(idOf('2')), `none ${unasked}`);
    assert.equal(asked(), 'self self self');
  });

  it('asks nobody for what cannot be a name', async () => {
    for (const name of ['', '..', '../info', 'a//b', 'a\r\nb', '\ud800', 'x'.repeat(10_000)])
      assert.equal(await told(name), 'none');
    assert.equal(asked(), '');
  });

  it('sends the signature of the client and nothing else of its headers', async () => {
    const rawHeaders = [
      'X-PortainerAgent-Signature',
      's',
      'X-PortainerAgent-PublicKey',
      'p',
      'X-Registry-Auth',
      'secret',
      'Content-Length',
      '100',
      'Accept-Encoding',
      'gzip',
    ];
    await lookup.find('container', 'web', callOf({ rawHeaders }));
    const seen = peers[0]?.requests[0]?.headers ?? {};
    assert.equal(seen['x-portaineragent-signature'], 's');
    assert.equal(seen['x-portaineragent-publickey'], 'p');
    for (const headers of [seen, engineHeaders[0] ?? assert.fail()])
      for (const name of ['x-registry-auth', 'content-length', 'accept-encoding'])
        assert.equal(headers[name], undefined, name);
  });

  it('asks each in a version that it speaks, and networks in the scope that is meant', async () => {
    const target = { path: '', rawPath: '', query: '?scope=swarm&verbose=1', version: 'v1.41' };
    await lookup.find('network', 'net', callOf({ target }));
    assert.deepEqual(places.n2.asked.splice(0), ['/v1.41/networks/net?scope=swarm']);
    await lookup.find('container', 'web', callOf({ target: { ...target, version: 'v1.99' } }));
    assert.deepEqual(places.n2.asked.splice(0), ['/v1.41/containers/web/json']);
    await lookup.find('container', 'web', callOf({ target: { ...target, version: 'v1.10' } }));
    assert.deepEqual(places.n2.asked.splice(0), ['/v1.12/containers/web/json']);
    await lookup.find('container', 'web', callOf({ target: { ...target, version: undefined } }));
    assert.deepEqual(places.n2.asked.splice(0), ['/containers/web/json']);
  });

  it('ends when the client leaves', async () => {
    peers[0]?.serve(() => undefined);
    const controller = new AbortController();
    const leaving = lookup.find('container', 'web', callOf({ signal: controller.signal }));
    controller.abort();
    await assert.rejects(leaving, (error) => error instanceof AgentError && error.code === 'cancelled');
  });
});

function place(): Place {
  return { things: [], asked: [] };
}

function clear(one: Place): void {
  one.things = [];
  one.asked.length = 0;
}

/** Such as `name n2 -n3(timeout)`. */
function verdict(found: Found): string {
  const unasked = found.unasked.map(({ node, reason }) => ` -${node}(${reason})`).join('');
  if (found.kind === 'found') return `${found.by} ${found.member.record.nodeName}${unasked}`;
  if (found.kind === 'none') return `none${unasked}`;
  return `several ${found.candidates.map(({ member }) => member.record.nodeName).join(' ')}${unasked}`;
}

/** Answers the inspect of every resource from the things of a place: exact id, exact name, unique prefix. */
function serving(at: Place): RequestListener {
  return (req, res) => {
    const target = req.url ?? '';
    at.asked.push(target);
    const name =
      /^(?:\/v[\d.]+)?\/\w+\/(.+?)(?:\/json)?(?:\?.*)?$/.exec(decodeURIComponent(target))?.[1] ?? '';
    const begun = at.things.filter(({ id }) => id.startsWith(name));
    const thing =
      at.things.find(({ id }) => id === name) ??
      at.things.find((one) => one.name === name) ??
      (begun.length === 1 ? begun[0] : undefined);
    res.writeHead(thing === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    const body = thing && { Id: thing.id, ID: thing.id, Name: thing.name, RepoTags: [thing.name] };
    res.end(JSON.stringify(body ?? { message: `No such thing: ${name}` }));
  };
}
