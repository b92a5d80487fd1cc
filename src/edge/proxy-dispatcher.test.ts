// The way to Portainer past every kind of proxy that the configuration takes, each a real one on loopback.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type EdgeServer, startEdgeServer } from '../../test/support/edge-server/edge-server.ts';
import { createServerTestCertificate } from '../../test/support/identity.ts';
import { createPortainerClient } from './portainer-client.ts';

const never = new AbortController().signal;
const request = {
  method: 'GET',
  path: '/api/endpoints/7/edge/status',
  headers: { 'Portainer-Agent-Platform': '1' },
} as const;

interface TestProxy extends AsyncDisposable {
  readonly port: number;
  /** `CONNECT host:port`, `GET http://…`, or `SOCKS host:port`. */
  readonly asked: readonly string[];
}

/** Speaks SOCKS5 with names and HTTP, whichever comes first; connects to loopback whatever the name. */
async function startProxy(tls?: { readonly cert: string; readonly key: string }): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const join = (client: Socket, port: number, answer: string | Buffer, head = ''): void => {
    const onward = connect(port, '127.0.0.1', () => {
      if (answer.length > 0) client.write(answer);
      onward.write(head);
      client.pipe(onward).pipe(client);
    });
    for (const socket of [client, onward]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
  };
  const onSocks = (client: Socket): void => {
    client.write(Buffer.from([5, 0]));
    client.once('data', (said: Buffer) => {
      const end = 5 + (said[4] ?? 0);
      const port = said.readUInt16BE(end);
      asked.push(`SOCKS ${said.toString('latin1', 5, end)}:${port}`);
      join(client, port, Buffer.from('05000001000000000000', 'hex'));
    });
  };
  const onHttp = (client: Socket, said: string): void => {
    const [, method = '', target = ''] = /^(\w+) (\S+)/.exec(said) ?? [];
    asked.push(`${method} ${target}`);
    if (method === 'CONNECT') join(client, Number(target.split(':')[1]), 'HTTP/1.1 200 OK\r\n\r\n');
    else join(client, Number(new URL(target).port), '', said.replace(target, new URL(target).pathname));
  };
  const onClient = (client: Socket): void => {
    client.once('data', (said: Buffer) => (said[0] === 5 ? onSocks(client) : onHttp(client, String(said))));
  };
  const server: Server = tls === undefined ? createServer(onClient) : createTlsServer(tls, onClient);
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('requests to portainer past a proxy', () => {
  let certificate: { readonly cert: string; readonly key: string };
  let usual: string[];
  const servers: Partial<Record<'http' | 'https', EdgeServer>> = {};
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  before(async () => {
    certificate = await createServerTestCertificate('127.0.0.1');
    servers.http = await startEdgeServer();
    servers.https = await startEdgeServer({ tls: certificate });
    usual = getCACertificates('default');
    setDefaultCACertificates([certificate.cert]);
    process.on('warning', onWarning);
  });
  after(async () => {
    process.off('warning', onWarning);
    setDefaultCACertificates(usual);
    await servers.http?.[Symbol.asyncDispose]();
    await servers.https?.[Symbol.asyncDispose]();
  });

  // Portainer's scheme, the proxy's, what the proxy is asked for.
  const ways = [
    ['https', 'socks', 'SOCKS'],
    ['https', 'socks5', 'SOCKS'],
    ['https', 'socks5h', 'SOCKS'],
    ['http', 'socks5h', 'SOCKS'],
    ['https', 'http', 'CONNECT'],
    ['https', 'https', 'CONNECT'],
    ['http', 'http', 'GET'],
    ['http', 'https', 'CONNECT'],
  ] as const;
  for (const [scheme, kind, method] of ways) {
    it(`reach ${scheme} past ${kind}://, by ${method}`, async () => {
      await using proxy = await startProxy(kind === 'https' ? certificate : undefined);
      const server = servers[scheme];
      assert.ok(server !== undefined);
      const url = `${kind}://127.0.0.1:${proxy.port}`;
      const client = createPortainerClient({
        // Only the proxy knows the name.
        baseUrl: `${scheme}://portainer.test:${server.port}`,
        edgeId: 'site-1',
        insecure: scheme === 'https',
        mtls: undefined,
        proxies: { http: url, https: url, except: undefined },
      });
      // This proxy reads one request; what is tunnelled is not its affair.
      for (let i = 0; i < (method === 'GET' ? 1 : 2); i += 1) {
        assert.equal((await client.send(request, never)).status, 200);
        // undici takes a moment to know that a connection is free.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await client.close();
      const wanted = `portainer.test:${server.port}`;
      const asked = method === 'GET' ? `GET http://${wanted}${request.path}` : `${method} ${wanted}`;
      assert.deepEqual(proxy.asked, [asked], 'one connection for both');
      assert.deepEqual(warnings, []);
    });
  }

  it('say why a proxy does not let them through', async () => {
    const server = createServer((socket) => {
      socket.on('data', () => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = createPortainerClient({
      baseUrl: 'https://portainer.test',
      edgeId: 'site-1',
      insecure: false,
      mtls: undefined,
      proxies: { http: undefined, https: url, except: undefined },
    });
    await assert.rejects(client.send(request, never), { message: /the proxy refused: HTTP\/1\.1 407/ });
    server.close();
    await once(server, 'close');
    await assert.rejects(client.send(request, never), {
      message: /^connect to portainer\.test:443 by proxy 127\.0\.0\.1:\d+: connect ECONNREFUSED/,
    });
    await client.close();
  });
});
