// An open console between a real websocket on loopback and the two ends of a stream that stands for the engine.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import WebSocket, { WebSocketServer } from 'ws';
import { eventually } from '../../../test/support/eventually.ts';
import {
  type ConsoleEnd,
  maxConsoleBufferedBytes,
  maxConsoleMessageBytes,
  runSession,
} from './websocket-session.ts';

interface Opened {
  readonly client: WebSocket;
  /** What the engine has. */
  readonly engine: Duplex;
  /** What the session has of it. */
  readonly stream: Duplex;
  readonly ended: Promise<ConsoleEnd>;
}

describe('console session', () => {
  let server: Server;
  let clients: WebSocket[];
  let stopping: AbortController;
  const upgrader = new WebSocketServer({ noServer: true, maxPayload: maxConsoleMessageBytes });

  beforeEach(async () => {
    clients = [];
    stopping = new AbortController();
    server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterEach(async () => {
    for (const client of clients) client.terminate();
    const closed = once(server, 'close');
    server.close();
    await closed;
  });

  async function open(pingEveryMs = 60_000): Promise<Opened> {
    const [engine, stream] = duplexPair();
    // As an opened hijack is handed over.
    stream.pause();
    engine.on('error', () => undefined);
    stream.on('error', () => stream.destroy());
    const session = new Promise<{ readonly ended: Promise<ConsoleEnd> }>((resolve) => {
      server.once('upgrade', (req, socket, head) =>
        upgrader.handleUpgrade(req, socket, head, (websocket) =>
          resolve({ ended: runSession(websocket, stream, { pingEveryMs, stopping: stopping.signal }) }),
        ),
      );
    });
    // A listening TCP server has an address of this kind.
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    client.on('error', () => undefined);
    clients.push(client);
    await once(client, 'open');
    return { client, engine, stream, ended: (await session).ended };
  }

  const codeOf = async ({ client }: Opened): Promise<number> => Number((await once(client, 'close'))[0]);

  it('closes with 1000 behind the last output when the engine ends', async () => {
    const opened = await open();
    const said = once(opened.client, 'message');
    const code = codeOf(opened);
    opened.engine.end('bye');
    assert.equal(String((await said)[0]), 'bye');
    assert.equal(await code, 1000);
    assert.equal(await opened.ended, 'engine-ended');
    assert.ok(opened.stream.destroyed);
  });

  it('closes with 1011 when the engine is lost', async () => {
    const opened = await open();
    const code = codeOf(opened);
    opened.stream.destroy(new Error('reset'));
    assert.equal(await code, 1011);
    assert.equal(await opened.ended, 'engine-lost');
  });

  it('closes with 1001 when the agent stops, also what opens then', async () => {
    const before = await open();
    const said = once(before.client, 'message');
    before.engine.write('last words');
    await said;
    const codes = [codeOf(before)];
    stopping.abort();
    const after = await open();
    codes.push(codeOf(after));
    assert.deepEqual(await Promise.all(codes), [1001, 1001]);
    for (const { ended, stream } of [before, after]) {
      assert.equal(await ended, 'agent-stopped');
      assert.ok(stream.destroyed);
    }
  });

  it('lets the engine go when the client leaves, with a close or without', async () => {
    for (const leave of ['close', 'terminate'] as const) {
      const opened = await open();
      opened.client[leave]();
      assert.equal(await opened.ended, 'client-left');
      assert.ok(opened.stream.destroyed);
    }
  });

  it('takes a message of the largest size, and closes with 1009 beyond', async () => {
    const opened = await open();
    let bytes = 0;
    opened.engine.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    opened.client.send(Buffer.alloc(maxConsoleMessageBytes, 'x'));
    await eventually(() => assert.equal(bytes, maxConsoleMessageBytes));
    const code = codeOf(opened);
    opened.client.send(Buffer.alloc(maxConsoleMessageBytes + 1, 'x'));
    assert.equal(await code, 1009);
    assert.equal(await opened.ended, 'client-left');
    assert.equal(bytes, maxConsoleMessageBytes);
  });

  it('stops reading a client whose input the engine does not take, and goes on when it does', async () => {
    const opened = await open();
    const piece = Buffer.alloc(64 * 1024, 'x');
    let sent = 0;
    // Until nothing more leaves: what is under way is then in buffers with bounds.
    while (opened.client.bufferedAmount < 4 * 1024 * 1024) {
      opened.client.send(piece);
      sent += piece.length;
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(sent < 256 * 1024 * 1024, 'the client is read for ever');
    }
    assert.ok(opened.stream.writableLength <= maxConsoleBufferedBytes + 2 * piece.length);
    let bytes = 0;
    opened.engine.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await eventually(() => assert.equal(bytes, sent));
  });

  it('stops reading an engine whose output the client does not take, and goes on when it does', async () => {
    const opened = await open();
    opened.client.pause();
    const piece = Buffer.alloc(64 * 1024, 'x');
    let sent = 0;
    let full = 0;
    while (full < 100) {
      full = opened.engine.writableNeedDrain ? full + 1 : 0;
      if (full === 0) {
        opened.engine.write(piece);
        sent += piece.length;
      }
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(sent < 256 * 1024 * 1024, 'the engine is read for ever');
    }
    let bytes = 0;
    opened.client.on('message', (data: Buffer) => {
      bytes += data.length;
    });
    opened.client.resume();
    await eventually(() => assert.equal(bytes, sent));
  });

  it('pings again and again, and asks for no answer', async () => {
    const opened = await open(10);
    let pings = 0;
    opened.client.on('ping', () => {
      pings += 1;
    });
    await eventually(() => assert.ok(pings >= 3));
    assert.equal(opened.client.readyState, WebSocket.OPEN);
    opened.client.close();
    await opened.ended;
  });
});
