// What comes back on a connection that asks for a hijack: the raw stream, a refusal, or nothing of use.

import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import { AgentError } from '../errors.ts';
import { openHijack } from './open-hijack.ts';
import type { HijackAnswer } from './proxy.ts';

const body = Buffer.from('{"Tty":true}');
const request = {
  method: 'POST',
  path: '/exec/ab/start',
  rawHeaders: ['Host', 'docker', 'Content-Length', String(body.length)],
  body,
};

interface Attempt {
  readonly engine: Duplex;
  readonly stream: Duplex;
  readonly answer: Promise<HijackAnswer>;
}

function attempt(firstByteMs = 5_000, signal = new AbortController().signal): Attempt {
  const [engine, stream] = duplexPair();
  engine.on('error', () => undefined);
  const answer = openHijack(() => Promise.resolve(stream), request, { signal, firstByteMs });
  return { engine, stream, answer };
}

describe('opening a hijack', () => {
  it('sends the request with its body, and hands over the stream with what came behind the head', async () => {
    const { engine, answer } = attempt();
    let sent = '';
    engine.on('data', (piece: Buffer) => {
      sent += piece.toString();
    });
    for (const piece of [
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 UPGR',
      'ADED\r\nUpgrade: tcp\r\n\r\nfirst',
    ])
      engine.write(piece);
    const opened = await answer;
    assert.equal(
      sent,
      `POST /exec/ab/start HTTP/1.1\r\nHost: docker\r\nContent-Length: ${body.length}\r\n\r\n${body.toString()}`,
    );
    assert.ok(opened.kind === 'hijacked');
    engine.end(' and second');
    assert.equal(Buffer.concat(await opened.stream.toArray()).toString(), 'first and second');
  });

  for (const [name, head, sent, end] of [
    ['of a length', 'Content-Length: 9', '{"a":"b"}', false],
    ['in chunks', 'Transfer-Encoding: chunked', '9\r\n{"a":"b"}\r\n0\r\n\r\n', true],
    ['of no length', 'Content-Type: text/plain', 'page not found\n', true],
  ] as const) {
    it(`gives a refusal with a body ${name}, and ends the connection`, async () => {
      const { engine, stream, answer } = attempt();
      engine.write(`HTTP/1.1 404 Not Found\r\n${head}\r\n\r\n${sent.slice(0, 4)}`);
      engine[end ? 'end' : 'write'](sent.slice(4));
      assert.deepEqual(await answer, { kind: 'refused', status: 404, body: Buffer.from(sent) });
      assert.ok(stream.destroyed);
    });
  }

  it('keeps no more of a refusal than its bound', async () => {
    const { engine, answer } = attempt();
    engine.write(`HTTP/1.1 500 Oh\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`);
    const refused = await answer;
    assert.ok(refused.kind === 'refused');
    assert.equal(refused.body.length, 65_536);
  });

  it('waits no longer than its time, and no longer than its client', async () => {
    const slow = attempt(20);
    await assert.rejects(slow.answer, isError('engine-unreachable', /within 20 ms/));
    const left = new AbortController();
    const leaving = attempt(5_000, left.signal);
    left.abort();
    await assert.rejects(leaving.answer, isError('cancelled', /client left/));
    for (const { stream } of [slow, leaving]) assert.ok(stream.destroyed);
  });

  it('fails where what comes is no answer, or nothing comes', async () => {
    for (const sent of ['this is not HTTP\r\n\r\n', 'HTTP/1.1 101', '']) {
      const { engine, stream, answer } = attempt();
      engine.end(sent);
      await assert.rejects(answer, isError('engine-unreachable', /open a console/));
      assert.ok(stream.destroyed);
    }
    await assert.rejects(
      openHijack(() => Promise.reject(new AgentError('engine-unreachable', 'dial engine')), request, {
        signal: new AbortController().signal,
        firstByteMs: 1_000,
      }),
      isError('engine-unreachable', /dial engine/),
    );
  });
});

function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof AgentError && error.code === code && message.test(error.message);
}
