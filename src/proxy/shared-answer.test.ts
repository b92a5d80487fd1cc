// Requests of the same bytes share an answer that none of them is younger than, from an engine's socket of our own.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../test/support/eventually.ts';
import { AgentError } from '../errors.ts';
import type { RawUpstream } from './raw-handler.ts';
import { maxSharedAnswerBytes } from './shared-answer.ts';
import { createSocketClient, type SocketClient } from './socket-client.ts';

const whole = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

interface Asked {
  readonly answer: Promise<string>;
  readonly leave: () => void;
}

describe('shared answer', () => {
  let folder: string;
  let server: net.Server;
  let client: SocketClient;
  /** What each request came on, in the order of their arrival. */
  let asked: net.Socket[];
  let open: Set<net.Socket>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flotilla-test-'));
    asked = [];
    open = new Set();
    const socketPath = join(folder, 'engine.sock');
    server = net.createServer((socket) => {
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => open.delete(socket));
      socket.on('data', () => asked.push(socket));
    });
    server.listen(socketPath);
    await once(server, 'listening');
    client = createSocketClient({ socketPath, isShared: ({ path }) => path === '/_ping' });
  });

  afterEach(async () => {
    client.close();
    await eventually(() => assert.equal(open.size, 0));
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const ask = (path = '/_ping', headers: readonly string[] = [], fails = false): Asked => {
    let upstream: RawUpstream | undefined;
    const answer = new Promise<string>((resolve, reject) => {
      let text = '';
      client.dispatch(
        { method: 'GET', path, headers, body: null },
        {
          onStart: (given) => {
            upstream = given;
          },
          onHeaders: (status) => {
            text = `${status} `;
          },
          onData: (chunk) => {
            text += chunk.toString('latin1');
            return true;
          },
          onComplete: () => resolve(text),
          onWhole: (status, _headers, _text, body) => {
            if (fails) throw new Error('cannot be written');
            resolve(`${status} ${body}`);
          },
          onError: reject,
        },
      );
    });
    answer.catch(() => undefined);
    return { answer, leave: () => upstream?.abort(new AgentError('cancelled', 'left')) };
  };

  const arrived = (requests: number): Promise<void> => eventually(() => assert.equal(asked.length, requests));

  it('serves those who came before its request was sent, and nobody who came later', async () => {
    const first = ask();
    await arrived(1);
    const later = [ask(), ask(), ask()];
    asked[0]?.write(whole('one'));
    assert.equal(await first.answer, '200 one');
    await arrived(2);
    asked[1]?.write(whole('two'));
    for (const { answer } of later) assert.equal(await answer, '200 two');
    const last = ask();
    await arrived(3);
    asked[2]?.write(whole('three'));
    assert.equal(await last.answer, '200 three');
  });

  it('is only for requests of the same bytes, and of paths that are asked together', async () => {
    const all = [ask(), ask('/_ping', ['Accept', 'a']), ask('/other'), ask('/other')];
    await arrived(4);
    for (const socket of asked) socket.write(whole('ok'));
    for (const { answer } of all) assert.equal(await answer, '200 ok');
  });

  it('reaches all in the same pieces of an answer that was chunked', async () => {
    const first = ask();
    await arrived(1);
    const both = [ask(), ask()];
    asked[0]?.write(whole('first'));
    await first.answer;
    await arrived(2);
    asked[1]?.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    asked[1]?.write('2\r\nde\r\n0\r\n\r\n');
    for (const { answer } of both) assert.equal(await answer, '200 abcde');
  });

  it('goes on for those who stay, and ends when all have left', async () => {
    const first = ask();
    await arrived(1);
    const [one, other] = [ask(), ask()];
    asked[0]?.write(whole('first'));
    await first.answer;
    await arrived(2);
    one.leave();
    await assert.rejects(one.answer, { code: 'cancelled' });
    const connections = open.size;
    other.leave();
    await assert.rejects(other.answer, { code: 'cancelled' });
    await eventually(() => assert.equal(open.size, connections - 1));
    const next = ask();
    await arrived(3);
    asked[2]?.write(whole('next'));
    assert.equal(await next.answer, '200 next');
  });

  it('is not asked for when all have left before it could be', async () => {
    const first = ask();
    await arrived(1);
    const second = ask();
    second.leave();
    await assert.rejects(second.answer, { code: 'cancelled' });
    asked[0]?.write(whole('first'));
    await first.answer;
    const third = ask();
    await arrived(2);
    asked[1]?.write(whole('third'));
    assert.equal(await third.answer, '200 third');
  });

  it('reaches those behind one that cannot take it', async () => {
    const first = ask();
    await arrived(1);
    const [failing, other] = [ask('/_ping', [], true), ask()];
    asked[0]?.write(whole('first'));
    await first.answer;
    await arrived(2);
    asked[1]?.write(whole('second'));
    await assert.rejects(failing.answer, { code: 'unavailable' });
    assert.equal(await other.answer, '200 second');
  });

  it('does not wait for one that hangs', async () => {
    const hanging = ask();
    await arrived(1);
    const second = ask();
    await arrived(2);
    asked[1]?.write(whole('second'));
    assert.equal(await second.answer, '200 second');
    asked[0]?.write(whole('late'));
    assert.equal(await hanging.answer, '200 late');
  });

  it('fails all who wait for it when the engine hangs up or says too much', async () => {
    const cut = ask();
    await arrived(1);
    asked[0]?.destroy();
    await assert.rejects(cut.answer, { code: 'engine-unreachable' });
    const long = ask();
    await arrived(2);
    asked[1]?.write('HTTP/1.1 200 OK\r\n\r\n');
    asked[1]?.write('x'.repeat(maxSharedAnswerBytes + 1));
    await assert.rejects(long.answer, { code: 'limit-exceeded' });
  });
});
