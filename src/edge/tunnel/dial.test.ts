// The way to a tunnel server through proxies and TLS, each a real one on loopback.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { createServerTestCertificate } from '../../../test/support/identity.ts';
import { createTestCertificate } from '../../../test/support/test-certificate.ts';
import type { TunnelAddress } from './address.ts';
import { dialServer } from './dial.ts';

interface Listening extends AsyncDisposable {
  readonly port: number;
}

async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const greet = (): Promise<Listening> => listen(createServer((socket) => void socket.write('hello')));

/** Answers each part as `answers` says, then connects to where the last one led. */
function createProxy(answers: readonly ((said: Buffer) => Buffer | undefined)[], port: () => number): Server {
  return createServer((socket) => {
    let step = 0;
    const onData = (said: Buffer): void => {
      const answer = answers[step]?.(said);
      step += 1;
      if (answer === undefined) {
        socket.destroy();
        return;
      }
      if (step < answers.length) {
        socket.write(answer);
        return;
      }
      socket.off('data', onData);
      const far = connect(port(), '127.0.0.1');
      far.on('error', () => undefined);
      // The answer and the first words of the server may come in one piece.
      far.once('data', (first: Buffer) => {
        socket.write(Buffer.concat([answer, first]));
        far.pipe(socket);
        socket.pipe(far);
      });
    };
    socket.on('data', onData);
  });
}

async function greeting(address: Partial<TunnelAddress>, proxy?: string): Promise<string> {
  const to = { transport: 'chisel', host: 'localhost', port: 1, tls: false, ...address } as const;
  const socket = await dialServer(to, { proxy, timeoutMs: 15_000 }, AbortSignal.timeout(15_000));
  const [said] = await once(socket, 'data');
  const closed = once(socket, 'close');
  socket.destroy();
  await closed;
  return String(said);
}

describe('dialling a tunnel server', () => {
  it('passes an HTTP proxy with its password', async () => {
    await using server = await greet();
    let asked = '';
    const answer = (said: Buffer): Buffer => {
      asked = said.toString();
      return Buffer.from('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n');
    };
    await using proxy = await listen(createProxy([answer], () => server.port));
    assert.equal(
      await greeting({ host: 'inside', port: 8_000 }, `http://me:p%40ss@127.0.0.1:${proxy.port}`),
      'hello',
    );
    assert.match(asked, /^CONNECT inside:8000 HTTP\/1\.1\r\nHost: inside:8000\r\n/);
    assert.ok(asked.includes(`Proxy-Authorization: Basic ${Buffer.from('me:p@ss').toString('base64')}\r\n`));
  });

  it('passes a SOCKS proxy with its password, which resolves the name', async () => {
    await using server = await greet();
    const asked: string[] = [];
    const answers = ['0502', '0100', '050000017f0000010050'].map((hex) => (said: Buffer) => {
      asked.push(said.toString('hex'));
      return Buffer.from(hex, 'hex');
    });
    await using proxy = await listen(createProxy(answers, () => server.port));
    assert.equal(
      await greeting({ host: 'inside', port: 8_000 }, `socks5h://me:secret@127.0.0.1:${proxy.port}`),
      'hello',
    );
    assert.deepEqual(asked, [
      '05020002',
      `0102${Buffer.from('me').toString('hex')}06${Buffer.from('secret').toString('hex')}`,
      `0501000306${Buffer.from('inside').toString('hex')}1f40`,
    ]);
  });

  it('passes a proxy in TLS, known by its IP address', async () => {
    const certificate = await createServerTestCertificate('127.0.0.1');
    await using server = await greet();
    const plain = createProxy([() => Buffer.from('HTTP/1.1 200 OK\r\n\r\n')], () => server.port);
    const proxy = createTlsServer(certificate, (socket) => void plain.emit('connection', socket));
    await using listening = await listen(proxy);
    const usual = getCACertificates('default');
    const address = { host: 'inside', port: 8_000 };
    const url = `https://127.0.0.1:${listening.port}`;
    await assert.rejects(greeting(address, url), { message: /self-signed certificate/ });
    setDefaultCACertificates([certificate.cert]);
    try {
      assert.equal(await greeting(address, url), 'hello');
    } finally {
      setDefaultCACertificates(usual);
    }
  });

  for (const [scheme, port] of [
    ['http', 80],
    ['https', 443],
    ['socks5', 1080],
  ] as const) {
    it(`looks for a proxy of ${scheme}:// at port ${port}`, async () => {
      await assert.rejects(greeting({}, `${scheme}://127.9.9.9`), {
        message: `dial tunnel server localhost:1 by proxy 127.9.9.9: connect ECONNREFUSED 127.9.9.9:${port}`,
      });
    });
  }

  const refusals: readonly (readonly [string, string, string | undefined, RegExp])[] = [
    [
      'an HTTP proxy that refuses',
      'http',
      'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n',
      /refused: HTTP\/1.1 407/,
    ],
    ['a proxy that answers without end', 'http', 'x'.repeat(40_000), /answers without end/],
    ['a proxy that closes', 'http', undefined, /the proxy closed the connection/],
    ['a SOCKS proxy that wants another login', 'socks', '\u0005\u00ff', /another kind of login/],
    ['a proxy of another kind', 'ftp', undefined, /kind ftp: is not supported/],
  ];
  for (const [what, scheme, answer, message] of refusals) {
    it(`says what is wrong with ${what}`, async () => {
      const server = createServer((socket) => {
        socket.on('data', () => void (answer === undefined ? socket.end() : socket.write(answer, 'latin1')));
      });
      await using proxy = await listen(server);
      await assert.rejects(greeting({}, `${scheme}://127.0.0.1:${proxy.port}`), { message });
    });
  }

  it('gives up on a proxy that says nothing', async () => {
    await using proxy = await listen(createServer());
    const address = { transport: 'chisel', host: 'inside', port: 1, tls: false } as const;
    const options = { proxy: `http://127.0.0.1:${proxy.port}`, timeoutMs: 50 };
    await assert.rejects(dialServer(address, options, AbortSignal.timeout(5_000)), { code: 'timeout' });
  });

  it('verifies the certificate of a server in TLS', async () => {
    const certificate = createTestCertificate('localhost');
    const server = createTlsServer(certificate, (socket) => void socket.write('hello'));
    await using listening = await listen(server);
    const address = { host: 'localhost', port: listening.port, tls: true };
    await assert.rejects(greeting(address), { message: /self-signed certificate/ });
    const usual = getCACertificates('default');
    setDefaultCACertificates([certificate.cert]);
    try {
      assert.equal(await greeting(address), 'hello');
    } finally {
      setDefaultCACertificates(usual);
    }
  });
});
