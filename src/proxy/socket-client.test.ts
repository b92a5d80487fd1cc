// The client of the engine's socket against servers that answer, hang up and misbehave on real unix sockets.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../test/support/eventually.ts';
import type { RawUpstream } from './raw-handler.ts';
import { createSocketClient, maxIdleConnections, type SocketClient } from './socket-client.ts';

/** Answers the nth request of the nth connection, both from 1. */
type Serve = (socket: net.Socket, at: { readonly connection: number; readonly request: number }) => void;

interface Received {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK';
const answers = (socket: net.Socket): unknown => socket.write(ok);

describe('socket client', () => {
  let folder: string;
  let server: net.Server;
  let client: SocketClient;
  let connections = 0;
  let open: Set<net.Socket>;
  let requests: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flotilla-test-'));
    connections = 0;
    open = new Set();
    requests = [];
    client = createSocketClient({ socketPath: join(folder, 'engine.sock') });
  });

  afterEach(async () => {
    client.close();
    await eventually(() => assert.equal(open.size, 0));
    if (server?.listening) server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const listen = async (serve: Serve): Promise<void> => {
    server = net.createServer((socket) => {
      connections += 1;
      const connection = connections;
      let request = 0;
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => open.delete(socket));
      socket.on('data', (bytes) => {
        requests.push(bytes.toString('latin1'));
        request += 1;
        serve(socket, { connection, request });
      });
    });
    server.listen(join(folder, 'engine.sock'));
    await once(server, 'listening');
  };

  const ask = (
    method = 'GET',
    headers: readonly string[] = [],
    onStart: (upstream: RawUpstream) => void = () => undefined,
  ): Promise<Received> =>
    new Promise((resolve, reject) => {
      let received: Received = { status: 0, headers: [], body: '' };
      client.dispatch(
        { method, path: '/x', headers, body: null },
        {
          onStart,
          onHeaders: (status, rawHeaders) => {
            received = { status, headers: rawHeaders, body: '' };
          },
          onData: (chunk) => {
            received = { ...received, body: received.body + chunk.toString('latin1') };
            return true;
          },
          onComplete: () => resolve(received),
          onWhole: (status, rawHeaders, _text, body) => resolve({ status, headers: rawHeaders, body }),
          onError: reject,
        },
      );
    });

  it('asks over one connection, one request after the other, and over several at the same time', async () => {
    await listen(answers);
    for (let i = 0; i < 3; i += 1) assert.equal((await ask()).body, 'OK');
    assert.equal(connections, 1);
    await Promise.all([ask(), ask(), ask()]);
    assert.equal(connections, 3);
    assert.equal(requests[0], 'GET /x HTTP/1.1\r\nHost: docker\r\n\r\n');
  });

  it('sends the headers that it is given, but never that a body follows', async () => {
    await listen(answers);
    await ask('POST', ['host', 'a', 'X-Meta', '\xe9', 'content-length', '0']);
    await ask('DELETE', ['Content-Length', '27']);
    // A lookup carries the headers of the request that it is made for.
    await ask('GET', ['CONTENT-LENGTH', '27', 'Transfer-Encoding', 'chunked', 'Host', 'a']);
    assert.deepEqual(requests, [
      'POST /x HTTP/1.1\r\nhost: a\r\nX-Meta: \xe9\r\nContent-Length: 0\r\n\r\n',
      'DELETE /x HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n',
      'GET /x HTTP/1.1\r\nHost: a\r\n\r\n',
    ]);
  });

  for (const [name, method, headers] of [
    ['header value', 'GET', ['A', 'b\r\nC: d']],
    ['header name', 'GET', ['A: b\r\nC', 'd']],
    ['method', 'GET / HTTP/1.1\r\nA:', []],
  ] as const) {
    it(`sends nothing when a ${name} would end its line`, async () => {
      await listen(answers);
      await assert.rejects(ask(method, headers), { code: 'request-invalid' });
      await ask();
      assert.equal(requests.length, 1);
    });
  }

  it('keeps connections whatever the framing, and gives up those that end their answer', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    const texts = [ok, chunked, 'HTTP/1.1 204 No Content\r\n\r\n'];
    await listen((socket, { request }) => void socket.write(texts[(request - 1) % texts.length] ?? ''));
    for (const body of ['OK', 'abc', '', 'OK']) assert.equal((await ask()).body, body);
    assert.equal(connections, 1);
    texts.fill('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno');
    await ask();
    await ask();
    assert.equal(connections, 2);
    texts.fill('HTTP/1.1 200 OK\r\n\r\nto the end');
    const asked = ask();
    await eventually(() => assert.equal(requests.length, 7));
    for (const socket of open) socket.end();
    assert.equal((await asked).body, 'to the end');
  });

  it('does not take bytes behind an answer for the next one', async () => {
    await listen((socket, { connection }) => {
      socket.write(connection === 1 ? `${ok}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil` : ok);
    });
    assert.equal((await ask()).body, 'OK');
    assert.equal((await ask()).body, 'OK');
    assert.equal(connections, 2);
  });

  it('does not take bytes on an idle connection for the next answer', async () => {
    await listen(answers);
    await ask();
    for (const socket of open) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    await eventually(() => assert.equal(open.size, 0));
    assert.equal((await ask()).body, 'OK');
  });

  it('asks again, once, when a connection was closed in the moment in which it was taken', async () => {
    await listen((socket, { request }) => {
      if (request === 1) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      else socket.destroy();
    });
    for (const method of ['GET', 'HEAD', 'GET']) assert.equal((await ask(method)).status, 204);
    assert.equal(connections, 3);
    assert.equal(requests.length, 5);
  });

  it('fails when the second connection breaks too, and when nothing had been asked on the first', async () => {
    await listen((socket, { connection }) => {
      if (connection === 1 && requests.length === 1) socket.write(ok);
      else socket.destroy();
    });
    await ask();
    await assert.rejects(ask());
    assert.equal(requests.length, 3);
    await assert.rejects(ask());
    assert.equal(requests.length, 4);
  });

  it('never repeats what may have changed something, nor what was answered in part', async () => {
    await listen((socket, { request }) => {
      if (request === 1) socket.write(ok);
      else if (requests.at(-1)?.startsWith('POST')) socket.destroy();
      else socket.end('HTTP/1.1 200 OK\r\nContent-Le');
    });
    await ask();
    await assert.rejects(ask('POST'));
    assert.equal(requests.length, 2);
    await ask();
    await assert.rejects(ask());
    assert.equal(requests.length, 4);
  });

  it('forgets an idle connection that the engine closes', async () => {
    await listen(answers);
    await ask();
    for (const socket of open) socket.end();
    await eventually(() => assert.equal(open.size, 0));
    await ask('POST');
    assert.equal(requests.length, 2);
  });

  it('says that nobody is there', async () => {
    await assert.rejects(ask(), { code: 'ENOENT' });
  });

  it('refuses what is no HTTP, and cuts', async () => {
    await listen((socket, { connection }) => {
      socket.write(connection === 1 ? 'garbage\r\n\r\n' : 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab');
      if (connection === 2) socket.end();
    });
    await assert.rejects(ask(), { code: 'protocol-violation' });
    await assert.rejects(ask(), { code: 'engine-unreachable' });
  });

  it('destroys the connection of an exchange that is given up, and no other', async () => {
    await listen((socket) => {
      if (requests.length !== 2) socket.write(ok);
    });
    let upstream: RawUpstream | undefined;
    await ask('GET', [], (started) => {
      upstream = started;
    });
    let second: RawUpstream | undefined;
    const given = ask('GET', [], (started) => {
      second = started;
    });
    await eventually(() => assert.equal(requests.length, 2));
    // The first exchange is over: its handle has no power over the one that uses its connection now.
    upstream?.abort(new Error('late'));
    upstream?.resume();
    second?.abort(new Error('client left'));
    await assert.rejects(given, { message: 'client left' });
    await eventually(() => assert.equal(open.size, 0));
    assert.equal((await ask()).body, 'OK');
  });

  it('sends nothing for an exchange that is given up at once', async () => {
    await listen(answers);
    await assert.rejects(
      ask('GET', [], (upstream) => upstream.abort(new Error('left before'))),
      { message: 'left before' },
    );
    await ask();
    assert.equal(requests.length, 1);
  });

  it('holds back a server whose reader does not read, and goes on when it does', async () => {
    const size = 8 * 1024 * 1024;
    const writer: { socket?: net.Socket } = {};
    await listen((socket) => {
      writer.socket = socket;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(Buffer.alloc(size));
    });
    let got = 0;
    let upstream: RawUpstream | undefined;
    const done = new Promise<void>((resolve, reject) => {
      client.dispatch(
        { method: 'GET', path: '/x', headers: [], body: null },
        {
          onStart: (started) => {
            upstream = started;
          },
          onHeaders: () => undefined,
          onData: (chunk) => {
            got += chunk.length;
            return false;
          },
          onComplete: () => resolve(),
          onWhole: () => reject(new Error('whole')),
          onError: reject,
        },
      );
    });
    await eventually(() => assert.ok(got > 0));
    const before = got;
    assert.ok((writer.socket?.writableLength ?? 0) > size / 2, 'held back');
    // One piece for each time that it is asked to go on.
    upstream?.resume();
    await eventually(() => assert.ok(got > before));
    assert.ok(got < size / 2, `${got} bytes came without being asked for`);
    const pump = setInterval(() => upstream?.resume(), 0);
    await done;
    clearInterval(pump);
    assert.equal(got, size);
    await listenAgain();
  });

  /** The connection that was held back serves again. */
  const listenAgain = async (): Promise<void> => {
    server.removeAllListeners('connection');
    for (const socket of open) {
      socket.removeAllListeners('data').on('data', () => socket.write(ok));
    }
    assert.equal((await ask()).body, 'OK');
    assert.equal(connections, 1);
  };

  it('ends what is under way when it is closed, and takes nothing new', async () => {
    await listen(() => undefined);
    const asked = ask();
    await eventually(() => assert.equal(requests.length, 1));
    client.close();
    await assert.rejects(asked, { code: 'unavailable' });
    await assert.rejects(ask(), { code: 'unavailable' });
  });

  it('closes connections that nobody needs any more, and opens new ones when they are', async () => {
    client.close();
    client = createSocketClient({ socketPath: join(folder, 'engine.sock'), sweepMs: 10 });
    await listen(answers);
    await Promise.all([ask(), ask(), ask()]);
    await eventually(() => assert.equal(open.size, 0));
    assert.equal((await ask()).body, 'OK');
    assert.equal(connections, 4);
  });

  it('keeps no more connections than it may', async () => {
    const waiting: net.Socket[] = [];
    await listen((socket) => void waiting.push(socket));
    const asked = Array.from({ length: maxIdleConnections + 20 }, () => ask());
    await eventually(() => assert.equal(waiting.length, asked.length));
    for (const socket of waiting) socket.write(ok);
    await Promise.all(asked);
    await eventually(() => assert.equal(open.size, maxIdleConnections));
  });
});
