// Transports to real TLS servers: who is trusted, what a request carries, how each kind of failure ends, and that
// nothing stays open to a member that is gone.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import { eventually } from '../../test/support/eventually.ts';
import {
  createViews,
  type FakePeer,
  memberOf,
  startFakePeer,
  type Views,
} from '../../test/support/fake-peer.ts';
import { freePort } from '../../test/support/free-port.ts';
import { createTestIdentity } from '../../test/support/identity.ts';
import type { MissingMember } from '../cluster/cluster.ts';
import { AgentError, type ErrorCode } from '../errors.ts';
import { createPeerTransports, maxListSockets, type PeerTransports } from './agent-transport.ts';
import type { FetchLimits, ProxyRequest } from './proxy.ts';

const get: ProxyRequest = { method: 'GET', path: '/containers/json?all=1', rawHeaders: [] };
const never = new AbortController().signal;
/** For members that answer: a machine with much to do may let them wait. */
const patientMs = 15_000;
const limits: FetchLimits = { signal: never, firstByteMs: patientMs, idleMs: patientMs, maxBytes: 1_000 };

const deathOf = ({ member: { record } }: FakePeer): MissingMember => {
  return { nodeName: record.nodeName, engineId: record.engineId, reason: 'dead', sinceMs: 0 };
};

describe('agent-transport', () => {
  let own: Awaited<ReturnType<typeof createTestIdentity>>;
  let peer: FakePeer;
  let views: Views;
  let transports: PeerTransports;

  const create = (passSignature: boolean, connectTimeoutMs = patientMs): PeerTransports => {
    const created = createPeerTransports(views, { ...own, passSignature, connectTimeoutMs });
    created.start();
    return created;
  };

  before(async () => {
    own = await createTestIdentity();
  });

  beforeEach(async () => {
    peer = await startFakePeer('node-2');
    views = createViews([peer.member]);
    transports = create(false);
  });

  afterEach(async () => {
    await transports.stop();
    assert.equal(views.listeners(), 0);
    await eventually(() => peer.openSockets() === 0);
    await peer[Symbol.asyncDispose]();
  });

  it('shows our certificate, checks theirs, and fetches the path byte for byte', async () => {
    peer.serve((_req, res) => res.end('[{"Id":"a"}]'));
    const part = await transports.to(peer.member).fetch(get, limits);
    assert.equal(part.status, 200);
    assert.equal(part.body.toString(), '[{"Id":"a"}]');
    assert.equal(peer.requests[0]?.url, '/containers/json?all=1');
    assert.equal(peer.requests[0]?.clientFingerprint, own.fingerprint);
  });

  const rawHeaders = [
    ['Host', 'portainer.example'],
    ['X-PortainerAgent-Signature', 'c2ln'],
    ['X-PortainerAgent-Target', 'node-2'],
    ['Flotilla-Decorate', 'forged'],
    ['Cookie', 'secret'],
    ['Connection', 'close, x-drop'],
    ['X-Drop', '1'],
    ['X-Registry-Auth', 'e30='],
  ].flat();

  it('passes no signature, steering or cookie in a cluster with a secret', async () => {
    await transports.fetchDecorated(peer.member, { ...get, rawHeaders }, limits);
    const { headers } = peer.requests[0] ?? assert.fail('no request');
    assert.equal(headers['flotilla-decorate'], 'portainer');
    assert.equal(headers['x-registry-auth'], 'e30=');
    for (const name of ['x-portaineragent-signature', 'x-portaineragent-target', 'cookie', 'x-drop']) {
      assert.equal(headers[name], undefined, name);
    }
    assert.equal(headers.host, `127.0.0.1:${peer.member.record.peerPort}`);
    await transports.fetchDecorated(peer.member, { ...get, rawHeaders }, limits, 'label');
    assert.equal(peer.requests[1]?.headers['flotilla-decorate'], 'label');
  });

  it('passes the signature where the member must verify it itself', async () => {
    const passing = create(true);
    await passing.to(peer.member).fetch({ ...get, rawHeaders }, limits);
    await passing.stop();
    assert.equal(peer.requests[0]?.headers['x-portaineragent-signature'], 'c2ln');
    assert.equal(peer.requests[0]?.headers['x-portaineragent-target'], undefined);
    assert.equal(peer.requests[0]?.headers['flotilla-decorate'], undefined);
  });

  it('refuses a member with another certificate before it learns anything', async () => {
    const impostor = memberOf({ ...peer.member.record, tlsFingerprint: own.fingerprint });
    views.change([impostor]);
    await rejectsWith(transports.to(impostor).fetch(get, limits), 'member-untrusted');
    await rejectsWith(transports.probe(impostor, limits), 'member-untrusted');
    assert.deepEqual(peer.requests, []);
  });

  it('checks each new connection: none is resumed from a session with an older certificate', async () => {
    await transports.probe(peer.member, limits);
    peer.present(await createTestIdentity());
    await rejectsWith(transports.probe(peer.member, limits), 'member-untrusted');
  });

  it('gives up on a member that accepts and says nothing', async () => {
    const silent = net.createServer((socket) => socket.resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const member = memberOf({ nodeName: 'hole', peerPort: port });
    views.change([member]);
    const impatient = create(false, 100);
    await rejectsWith(impatient.to(member).fetch(get, limits), 'timeout');
    await rejectsWith(impatient.to(member).fetch(get, { ...limits, firstByteMs: 20 }), 'timeout');
    await impatient.stop();
    silent.close();
    await once(silent, 'close');
    await rejectsWith(impatient.to(member).fetch(get, limits), 'member-unreachable');
  });

  it('waits for a handshake that takes its time, and ends those under way when the member dies', async () => {
    const patient = createPeerTransports(views, { ...own, passSignature: false });
    patient.start();
    const dialed: net.Socket[] = [];
    const slow = net.createServer((socket) => {
      dialed.push(socket);
      socket.on('error', () => socket.destroy());
      if (dialed.length > 1) {
        socket.resume();
        return;
      }
      const passOn = (): void => {
        const { peerPort } = peer.member.record;
        const onward = net.connect(peerPort, '127.0.0.1');
        socket.pipe(onward).pipe(socket);
      };
      // Longer than the time after which a lost packet is sent again.
      setTimeout(passOn, 1_200);
    });
    slow.listen(0, '127.0.0.1');
    await once(slow, 'listening');
    const { port } = slow.address() as AddressInfo;
    const member = memberOf({ ...peer.member.record, peerPort: port });
    views.change([member]);
    assert.equal((await patient.to(member).fetch(get, limits)).status, 200);

    const [, far] = duplexPair();
    const failures: unknown[] = [];
    patient.to(member).splice(get, far, Buffer.alloc(0), {
      endless: true,
      answerHeaders: [],
      onUnreachable: (error: unknown) => void failures.push(error),
    });
    await eventually(() => dialed.length === 2);
    views.change([], [deathOf(peer)]);
    await eventually(() => failures.length === 1 && dialed.every(({ destroyed }) => destroyed));
    await patient.stop();
    slow.close();
  });

  it('reports a closed port as unreachable', async () => {
    const member = memberOf({ nodeName: 'closed', peerPort: await freePort() });
    views.change([member]);
    await rejectsWith(transports.to(member).fetch(get, limits), 'member-unreachable');
  });

  it('ends an answer that stalls, is too large, is cut off, or is no HTTP', async () => {
    const { to } = transports;
    peer.serve((_req, res) => void res.writeHead(200).write('['));
    await rejectsWith(to(peer.member).fetch(get, { ...limits, idleMs: 30 }), 'timeout');
    peer.serve((_req, res) => res.end(Buffer.alloc(1_001)));
    await rejectsWith(to(peer.member).fetch(get, limits), 'limit-exceeded');
    peer.serve((_req, res) => {
      res.writeHead(200, { 'Content-Length': '100' });
      res.write('[{"Id":', () => res.destroy());
    });
    await assert.rejects(to(peer.member).fetch(get, limits), { code: 'UND_ERR_SOCKET' });
    peer.serve((req) => void req.socket.end('SSH-2.0-OpenSSH\r\n\r\n'));
    await assert.rejects(to(peer.member).fetch(get, limits), /Parse Error|Expected HTTP/);
    await eventually(() => peer.openSockets() === 0);
  });

  it('sends a GET once more whose connection broke, and only once', async () => {
    let broken = 0;
    peer.serve((req, res) => {
      if (broken++ === 0) req.socket.destroy();
      else res.end('[]');
    });
    assert.equal((await transports.to(peer.member).fetch(get, limits)).body.toString(), '[]');
    peer.requests.length = 0;
    peer.serve((req) => void req.socket.destroy());
    await assert.rejects(transports.to(peer.member).fetch(get, limits));
    assert.equal(peer.requests.length, 2);
  });

  it('aborts the exchange when the signal does', async () => {
    const controller = new AbortController();
    peer.serve(() => controller.abort(new AgentError('cancelled', 'client left')));
    await rejectsWith(
      transports.to(peer.member).fetch(get, { ...limits, signal: controller.signal }),
      'cancelled',
    );
    await eventually(() => peer.openSockets() === 0);
  });

  it('keeps connections, and no more of them for lists than its bound', async () => {
    peer.serve((_req, res) => res.end('[]'));
    const { fetch } = transports.to(peer.member);
    await Promise.all(Array.from({ length: 200 }, () => fetch(get, limits)));
    assert.equal(peer.requests.length, 200);
    assert.ok(peer.peakSockets() <= maxListSockets, `${peer.peakSockets()} sockets`);
    assert.ok(peer.openSockets() > 0);
  });

  it('lets a member that left finish what it has, and gives it nothing new', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    peer.serve((_req, res) => void promise.then(() => res.end('[]')));
    const waiting = transports.to(peer.member).fetch(get, limits);
    await eventually(() => peer.requests.length === 1);
    views.change([]);
    await rejectsWith(transports.to(peer.member).fetch(get, limits), 'member-unreachable');
    resolve();
    assert.equal((await waiting).status, 200);
    await eventually(() => peer.openSockets() === 0);
  });

  it('destroys what a member that left has not finished when it stops', async () => {
    peer.serve(() => undefined);
    const waiting = transports.to(peer.member).fetch(get, limits);
    await eventually(() => peer.requests.length === 1);
    views.change([]);
    await Promise.all([rejectsWith(waiting, 'member-unreachable'), transports.stop()]);
    await eventually(() => peer.openSockets() === 0);
  });

  it('destroys all connections to a member that died, in use or not, and makes none for an old view', async () => {
    peer.serve(() => undefined);
    const waiting = transports.to(peer.member).fetch(get, limits);
    await eventually(() => peer.requests.length === 1);
    views.change([], [deathOf(peer)]);
    await rejectsWith(waiting, 'member-unreachable');
    await eventually(() => peer.openSockets() === 0);
    await rejectsWith(transports.to(peer.member).fetch(get, limits), 'member-unreachable');
    await rejectsWith(transports.probe(peer.member, limits), 'member-unreachable');
    assert.equal(peer.openSockets(), 0);
  });

  it('replaces the connections when the record has another generation, and keeps them when it only aged', async () => {
    const { record } = peer.member;
    peer.serve((_req, res) => res.end('[]'));
    await transports.to(peer.member).fetch(get, limits);
    const [first = 0] = peer.clientPorts();
    await tick(); // undici takes a connection back only in the next turn of the loop
    const older = { ...peer.member, record: { ...record, incarnation: 5, leader: true } };
    views.change([older]);
    await transports.to(older).fetch(get, limits);
    assert.deepEqual(peer.clientPorts(), [first]);
    const newer = { ...peer.member, record: { ...record, generation: record.generation + 1 } };
    views.change([newer]);
    await transports.to(newer).fetch(get, limits);
    await eventually(() => !peer.clientPorts().includes(first));
    await rejectsWith(transports.to(peer.member).fetch(get, limits), 'member-unreachable');
  });

  it('relays streams both ways, ends them when the client leaves, and lists beside any number of them', async () => {
    let aborted = 0;
    peer.serve((req, res) => {
      if (req.url === get.path) {
        res.end('[]');
        return;
      }
      res.once('close', () => (aborted += 1));
      res.writeHead(200, { 'X-From': 'peer' }).flushHeaders();
      req.pipe(res);
    });
    const entry = http.createServer((req, res) => {
      const { method = '', url: path = '', rawHeaders } = req;
      transports.to(peer.member).forward({ method, path, rawHeaders }, req, res, {
        endless: true,
        answerHeaders: ['X-Entry', '1'],
        onUnreachable: (error) => assert.fail(String(error)),
      });
    });
    entry.listen(0, '127.0.0.1');
    await once(entry, 'listening');
    const { port } = entry.address() as AddressInfo;
    const agent = new http.Agent({ keepAlive: false });
    const streams = await Promise.all(
      Array.from({ length: maxListSockets * 2 }, async () => {
        const upload = http.request({ port, method: 'POST', path: '/build', agent });
        upload.write('step 1');
        upload.on('error', () => undefined); // cut on purpose
        const [answer] = (await once(upload, 'response')) as [http.IncomingMessage];
        return { upload, answer };
      }),
    );
    const [stream] = streams;
    assert.equal(stream?.answer.headers['x-from'], 'peer');
    assert.equal(stream?.answer.headers['x-entry'], '1');
    assert.equal(String((await once(stream?.answer ?? assert.fail(), 'data'))[0]), 'step 1');
    assert.equal((await transports.to(peer.member).fetch(get, limits)).body.toString(), '[]');
    for (const { upload, answer } of streams) {
      answer.on('error', () => undefined);
      upload.destroy();
    }
    await eventually(() => aborted === streams.length);
    entry.close();
    await once(entry, 'close');
  });

  it('splices a hijack over its own connection, half-close included', async () => {
    peer.server.on('upgrade', (_req, socket: Duplex, head: Buffer) => {
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      const said: Buffer[] = [head];
      socket.on('data', (chunk: Buffer) => said.push(chunk));
      // Answers only once the client has ended its side: an echo that needs half-close.
      socket.on('end', () => socket.end(`heard ${Buffer.concat(said).toString()}`));
    });
    const [client, far] = duplexPair();
    const attach: ProxyRequest = {
      method: 'POST',
      path: '/containers/a/attach',
      rawHeaders: ['Host', 'docker', 'Connection', 'Upgrade', 'Upgrade', 'tcp'],
    };
    transports.to(peer.member).splice(attach, far, Buffer.from('early '), {
      endless: true,
      answerHeaders: [],
      onUnreachable: (error) => assert.fail(String(error)),
    });
    client.end('late');
    const heard: Buffer[] = [];
    for await (const chunk of client as AsyncIterable<Buffer>) heard.push(chunk);
    assert.match(Buffer.concat(heard).toString(), /^HTTP\/1\.1 101 UPGRADED\r\n.*\r\n\r\nheard early late$/s);
  });

  it('ends a hijack when the member dies, and reports one that cannot begin', async () => {
    peer.server.on('upgrade', (_req, socket: Duplex) => {
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    });
    const [client, far] = duplexPair();
    const attach: ProxyRequest = {
      ...get,
      method: 'POST',
      rawHeaders: ['Connection', 'Upgrade', 'Upgrade', 'tcp'],
    };
    const failures: unknown[] = [];
    const options = {
      endless: true,
      answerHeaders: [],
      onUnreachable: (error: unknown) => void failures.push(error),
    };
    transports
      .to(peer.member)
      .splice({ ...attach, rawHeaders: ['Host', 'd', ...attach.rawHeaders] }, far, Buffer.alloc(0), options);
    await once(client, 'data');
    views.change([], [deathOf(peer)]);
    await once(client.resume(), 'end');
    transports.to(peer.member).splice(attach, duplexPair()[1], Buffer.alloc(0), options);
    assert.equal(failures.length, 1);
  });
});

async function rejectsWith(result: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(result, (error) => {
    assert.ok(error instanceof AgentError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}
