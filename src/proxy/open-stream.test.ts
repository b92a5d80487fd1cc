// Answers that are read as they come, from a real server on a unix socket: how each beginning and each end is seen, that
// a slow reader slows the sender, and that no connection outlives who read it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http, { type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { eventually } from '../../test/support/eventually.ts';
import { AgentError } from '../errors.ts';
import { createEngineTransport, type EngineTransport } from './engine-transport.ts';
import type { OpenAnswer, OpenLimits } from './proxy.ts';

const request = {
  method: 'GET',
  path: '/events',
  rawHeaders: ['Cookie', 'secret', 'Accept', 'application/jsonl'],
};

describe('open-stream', () => {
  let folder: string;
  let server: http.Server;
  let serve: RequestListener;
  let engine: EngineTransport;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flotilla-open-'));
    server = http.createServer((req, res) => serve(req, res));
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    const socketPath = join(folder, 'docker.sock');
    server.listen(socketPath);
    await once(server, 'listening');
    engine = createEngineTransport({ socketPath });
  });

  afterEach(async () => {
    await engine.close();
    await eventually(() => sockets.size === 0);
    server.close();
    await rm(folder, { recursive: true });
  });

  const open = (limits: Partial<OpenLimits> = {}): Promise<OpenAnswer> =>
    engine.open(request, { signal: new AbortController().signal, firstByteMs: 15_000, ...limits });

  it('gives the head at once and the body as it comes', async () => {
    const { promise: body, resolve: send } = Promise.withResolvers<void>();
    serve = (req, res) => {
      assert.equal(req.headers.cookie, undefined);
      res.writeHead(200, { 'X-Accepted': req.headers.accept });
      res.flushHeaders();
      void body.then(() => res.end('late'));
    };
    const answer = await open();
    assert.equal(answer.status, 200);
    assert.equal(answer.rawHeaders[answer.rawHeaders.indexOf('X-Accepted') + 1], 'application/jsonl');
    send();
    assert.equal(await text(answer.body), 'late');
  });

  it('gives up on a head that does not come in its time', async () => {
    serve = () => undefined;
    await assert.rejects(open({ firstByteMs: 30 }), (error) => isCode(error, 'timeout'));
    await eventually(() => sockets.size === 0);
  });

  it('is given up by its signal before, at and after the head', async () => {
    serve = (_req, res) => void res.writeHead(200).write('{');
    const reason = new AgentError('cancelled', 'enough');
    await assert.rejects(open({ signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const opening = open({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(opening, reason);
    const later = new AbortController();
    const { body } = await open({ signal: later.signal });
    later.abort(reason);
    await assert.rejects(text(body), reason);
    await eventually(() => sockets.size === 0);
  });

  it('ends the exchange when the body is destroyed', async () => {
    serve = (_req, res) => void res.writeHead(200).write('{');
    const { body } = await open();
    body.destroy();
    await eventually(() => sockets.size === 0);
  });

  it('fails the body when the connection breaks, and not before', async () => {
    serve = (_req, res) => {
      res.writeHead(200).write('{');
      setImmediate(() => res.destroy());
    };
    const { body } = await open();
    await assert.rejects(text(body));
  });

  it('takes no more from the connection than one reads', async () => {
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    serve = (_req, res) => {
      res.writeHead(200);
      const send = (): void => {
        while (sent < 1_000) {
          sent += 1;
          if (!res.write(chunk)) {
            res.once('drain', send);
            return;
          }
        }
        res.end();
      };
      send();
    };
    const { body } = await open();
    let last = -1;
    await eventually(() => {
      const stands = sent === last;
      last = sent;
      return stands;
    });
    assert.ok(sent < 100, `${sent} of 1000 pieces went out unread`);
    let bytes = 0;
    for await (const piece of body) bytes += (piece as Buffer).length;
    assert.equal(bytes, 1_000 * chunk.length);
  });

  it('uses a connection again whose answer was read to its end', async () => {
    serve = (_req, res) => res.end('{}');
    for (let count = 0; count < 20; count += 1) await text((await open()).body);
    // The pool may not know yet that the answer has ended, once.
    assert.ok(sockets.size <= 2, `${sockets.size} connections for 20 answers`);
  });
});

function isCode(error: unknown, code: string): boolean {
  return error instanceof AgentError && error.code === code;
}
