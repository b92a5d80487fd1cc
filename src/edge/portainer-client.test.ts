// The way to Portainer over real TLS and real proxies: verification, client certificates that change, size, time, redirects.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { type EdgeServer, startEdgeServer } from '../../test/support/edge-server/edge-server.ts';
import { eventually } from '../../test/support/eventually.ts';
import { createServerTestCertificate, createTestIdentity } from '../../test/support/identity.ts';
import {
  createPortainerClient,
  type PortainerClient,
  type PortainerClientOptions,
} from './portainer-client.ts';
import { nextUrl } from './redirect.ts';

const never = new AbortController().signal;
const get = {
  method: 'GET',
  path: '/api/endpoints/7/edge/status',
  headers: { 'Portainer-Agent-Platform': '1' },
} as const;
const noProxy = { http: undefined, https: undefined, except: undefined };

function clientOf(
  baseUrl: string,
  options: Partial<PortainerClientOptions> = {},
): PortainerClient & AsyncDisposable {
  const all = { baseUrl, edgeId: 'site-1', insecure: false, mtls: undefined, proxies: noProxy, ...options };
  const client = createPortainerClient(all);
  return { ...client, [Symbol.asyncDispose]: client.close };
}

interface TestProxy extends AsyncDisposable {
  readonly url: string;
  /** What it was asked for: `GET http://…` or `CONNECT host:port`. */
  readonly asked: readonly string[];
}

async function startProxy(): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = http.createServer((req, res) => {
    asked.push(`${req.method} ${req.url}`);
    const onward = http.request(req.url ?? '', { method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(res);
    });
    req.pipe(onward);
  });
  server.on('connect', (req, client: Socket) => {
    asked.push(`${req.method} ${req.url}`);
    const [host = '', port] = (req.url ?? '').split(':');
    const onward = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
    sockets.add(onward);
    for (const socket of [client, onward]) socket.on('error', () => socket.destroy());
    client.pipe(onward).pipe(client);
  });
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    // It listens on TCP.
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Keeping extends AsyncDisposable {
  readonly url: string;
  /** So far. */
  connections(): number;
}

/** Keeps connections open as Go's servers do: for ever, and without a word of it to the client. */
async function startKeeping(): Promise<Keeping> {
  let connections = 0;
  const server = http.createServer({ keepAliveTimeout: 0 }, (_req, res) => void res.end('{}'));
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('portainer client', () => {
  let folder: string;
  let server: EdgeServer;
  let certificate: { readonly cert: string; readonly key: string };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portainer-client-'));
    certificate = await createServerTestCertificate('127.0.0.1');
    server = await startEdgeServer({ tls: { ...certificate, requestCert: true, rejectUnauthorized: false } });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, text);
    return path;
  };

  it('refuses a server that nobody vouches for, and asks it nothing', async () => {
    server.forget();
    await using client = clientOf(server.url);
    await assert.rejects(client.send(get, never), {
      code: 'unavailable',
      message: /self-signed|certificate/,
    });
    assert.equal(server.requests().length, 0);
  });

  it('takes it with its CA, and without any where told to', async () => {
    const ca = await file('ca.pem', certificate.cert);
    await using verified = clientOf(server.url, { mtls: { cert: undefined, key: undefined, ca } });
    assert.equal((await verified.send(get, never)).status, 200);
    await using insecure = clientOf(server.url, { insecure: true });
    assert.equal((await insecure.send(get, never)).status, 200);
    assert.equal(server.edgeId(), 'site-1');
  });

  it('shows the client certificate, takes a new one when the files change, and misses them only until they are there', async () => {
    const shown: string[] = [];
    const tls = { ...certificate, requestCert: true, rejectUnauthorized: false };
    await using own = await startEdgeServer({ tls });
    const ca = await file('ca.pem', certificate.cert);
    const mtls = { cert: join(folder, 'client.pem'), key: join(folder, 'client.key'), ca };
    await using client = clientOf(own.url, { mtls });
    await assert.rejects(client.send(get, never), {
      code: 'unavailable',
      message: /ENOENT.*client\.(?:pem|key)/,
    });
    for (const round of [1, 2]) {
      const identity = await createTestIdentity();
      await file('client.key', identity.key);
      await file('client.pem', identity.cert);
      await utimes(mtls.cert, round, round);
      own.onSecure((socket: TLSSocket) => shown.push(socket.getPeerX509Certificate()?.fingerprint256 ?? ''));
      assert.equal((await client.send(get, never)).status, 200);
      assert.equal((await client.send(get, never)).status, 200);
      assert.equal(shown.at(-1)?.replaceAll(':', '').toLowerCase(), identity.fingerprint);
      assert.equal(shown.length, round, 'one connection for each certificate');
    }
    await eventually(() => own.openConnections() === 1);
  });

  it('sends no client certificate to a server that it does not verify', async () => {
    const identity = await createTestIdentity();
    const mtls = {
      cert: await file('c.pem', identity.cert),
      key: await file('c.key', identity.key),
      ca: undefined,
    };
    await using own = await startEdgeServer({
      tls: { ...certificate, requestCert: true, rejectUnauthorized: false },
    });
    const shown: (string | undefined)[] = [];
    own.onSecure((socket: TLSSocket) => shown.push(socket.getPeerX509Certificate()?.fingerprint256));
    await using client = clientOf(own.url, { insecure: true, mtls });
    assert.equal((await client.send(get, never)).status, 200);
    assert.deepEqual(shown, [undefined]);
  });

  it('goes through the proxy of its scheme, and around it where told to', async () => {
    await using proxy = await startProxy();
    await using plain = await startEdgeServer();
    const proxies = { http: proxy.url, https: undefined, except: undefined };
    await using overHttp = clientOf(plain.url, { proxies });
    assert.equal((await overHttp.send(get, never)).status, 200);
    assert.deepEqual(proxy.asked, [`GET ${plain.url}${get.path}`]);

    await using noHttpsProxy = clientOf(server.url, { insecure: true, proxies });
    assert.equal((await noHttpsProxy.send(get, never)).status, 200);
    await using around = clientOf(plain.url, { proxies: { ...proxies, except: 'example.com,127.0.0.1' } });
    assert.equal((await around.send(get, never)).status, 200);
    assert.equal(proxy.asked.length, 1);

    const both = { http: undefined, https: proxy.url, except: undefined };
    await using overHttps = clientOf(server.url, { insecure: true, proxies: both });
    assert.equal((await overHttps.send(get, never)).status, 200);
    assert.equal(proxy.asked[1], `CONNECT 127.0.0.1:${server.port}`);
  });

  it('bounds an answer and the wait for it, and stops when told to', async () => {
    await using plain = await startEdgeServer();
    await using client = clientOf(plain.url);
    plain.failWith(() => ({ kind: 'status', status: 200, body: 'x'.repeat(10_000) }));
    await assert.rejects(client.send({ ...get, maxAnswerBytes: 9_999 }, never), { code: 'limit-exceeded' });
    plain.failWith(() => ({ kind: 'hang' }));
    await assert.rejects(client.send({ ...get, timeoutMs: 100 }, never), { code: 'timeout' });
    const leaving = new AbortController();
    const pending = client.send(get, leaving.signal);
    leaving.abort();
    await assert.rejects(pending, { code: 'cancelled' });
    plain.failWith(() => undefined);
    assert.equal((await client.send(get, never)).status, 200);
    await client.close();
    await eventually(() => plain.openConnections() === 0);
  });

  it('keeps one connection over the usual interval, past a proxy too', async () => {
    await using plain = await startKeeping();
    await using proxied = await startKeeping();
    const proxies = { http: proxied.url, https: undefined, except: undefined };
    await using direct = clientOf(plain.url);
    await using around = clientOf('http://portainer.test', { proxies });
    for (let i = 0; i < 2; i += 1) {
      if (i > 0) await new Promise((resolve) => setTimeout(resolve, 5_500));
      for (const client of [direct, around]) assert.equal((await client.send(get, never)).status, 200);
    }
    assert.deepEqual([plain.connections(), proxied.connections()], [1, 1]);
  });

  it('posts JSON, and follows a redirect on its host with method and body', async () => {
    await using plain = await startEdgeServer();
    plain.bindEdgeId('site-1');
    plain.failWith(({ path }) =>
      path.startsWith('/old')
        ? { kind: 'status', status: 308, location: '/api/endpoints/global-key' }
        : undefined,
    );
    await using client = clientOf(plain.url);
    const answer = await client.send({ method: 'POST', path: '/old', json: { a: 1 } }, never);
    assert.equal(answer.body, '{"endpointID":7}');
    assert.deepEqual(
      plain.requests().map(({ method, body }) => [method, body]),
      [
        ['POST', '{"a":1}'],
        ['POST', '{"a":1}'],
      ],
    );
    plain.failWith(() => ({ kind: 'status', status: 302, location: get.path }));
    plain.forget();
    assert.equal((await client.send(get, never)).status, 302, 'a loop ends');
    assert.equal(plain.requests().length, 6);
  });
});

describe('redirects of portainer', () => {
  const rows: readonly (readonly [string, number, string | undefined, 'GET' | 'POST', string, string | undefined])[] = [
    ['stays on the host', 308, '/api/x', 'GET', 'https://p:9443/a', 'https://p:9443/api/x'],
    ['goes to TLS on the host', 301, 'https://p/a', 'GET', 'http://p/a', 'https://p/a'],
    ['never goes back from TLS', 301, 'http://p/a', 'GET', 'https://p/a', undefined],
    ['never goes to another host', 307, 'https://q/a', 'GET', 'https://p/a', undefined],
    ['never goes to another port', 307, 'https://p:1/a', 'GET', 'https://p/a', undefined],
    ['makes no GET of a POST', 302, '/a', 'POST', 'https://p/a', undefined],
    ['keeps a POST', 307, '/b', 'POST', 'https://p/a', 'https://p/b'],
    ['needs a place to go', 302, undefined, 'GET', 'https://p/a', undefined],
    ['takes no address that is none', 302, 'http://[', 'GET', 'https://p/a', undefined],
    ['is nothing at 200', 200, '/b', 'GET', 'https://p/a', undefined],
  ]; // biome-ignore format: a table
  for (const [name, status, location, method, from, expected] of rows) {
    it(name, () => {
      const headers: Record<string, string> = location === undefined ? {} : { location };
      assert.equal(nextUrl(new URL(from), { status, headers }, method)?.href, expected);
    });
  }
});
