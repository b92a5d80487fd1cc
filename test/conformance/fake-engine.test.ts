// The fake engine is only worth something if it behaves as an engine does: its own behaviour, told by raw bytes.

import { deepEqual, equal, match } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { greeting } from '../support/engine/hijack.ts';
import { eventually } from '../support/eventually.ts';
import { type FakeEngine, startFakeEngine } from '../support/fake-engine.ts';
import { connectRaw, exchangeRaw, type RawAddress, requestRaw } from '../support/raw-http.ts';

const container = { id: 'a'.repeat(64), name: 'web', tty: true, createdSeconds: 1_700_000_000 };

describe('fake engine', () => {
  let engine: FakeEngine;
  let address: RawAddress;

  beforeEach(async () => {
    engine = await startFakeEngine();
    engine.state.containers = [container];
    address = { kind: 'unix', path: engine.socketPath };
  });

  afterEach(() => engine[Symbol.asyncDispose]());

  it('answers ping, with and without a body, with the headers that clients negotiate by', async () => {
    const get = await requestRaw(address, { path: '/v1.41/_ping' });
    equal(get.status, 200);
    equal(get.body.toString(), 'OK');
    equal(get.headers.get('api-version'), '1.41');
    equal(get.headers.get('ostype'), 'linux');
    const head = await requestRaw(address, { method: 'HEAD', path: '/_ping' });
    equal(head.headers.get('content-length'), '2');
    equal(head.body.length, 0);
  });

  it('answers unknown paths, wrong methods and foreign versions in the words of an engine', async () => {
    for (const [method, path] of [
      ['GET', '/nothing'],
      ['DELETE', '/version'],
    ] as const) {
      const answer = await requestRaw(address, { method, path });
      equal(answer.status, 404);
      deepEqual(JSON.parse(answer.body.toString()), { message: 'page not found' });
    }
    const newer = await requestRaw(address, { path: '/v1.99/version' });
    equal(newer.status, 400);
    match(newer.body.toString(), /client version 1\.99 is too new/);
  });

  it('finds a container by id, name and beginning, and misses it in the known words', async () => {
    for (const name of [container.id, container.name, 'aaaa']) {
      equal((await requestRaw(address, { path: `/containers/${name}/json` })).status, 200);
    }
    const missing = await requestRaw(address, { path: '/containers/none/json' });
    deepEqual(JSON.parse(missing.body.toString()), { message: 'No such container: none' });
  });

  it('records method, target, header bytes and body of a request', async () => {
    const body = Buffer.alloc(200_000, 'u');
    await requestRaw(address, {
      method: 'POST',
      path: '/images/load?quiet=1',
      headers: { 'X-OdD-Case': 'ü' },
      body,
    });
    const [received] = engine.received();
    equal(received?.target, '/images/load?quiet=1');
    equal(received?.rawHeaders.includes('X-OdD-Case'), true);
    equal(received?.bodyBytes, body.length);
    equal(received?.bodySha256, createHash('sha256').update(body).digest('hex'));
  });

  it('keeps a connection for the next request and reads chunked bodies', async () => {
    await using connection = await connectRaw(address);
    await connection.request({
      method: 'POST',
      path: '/build',
      headers: { 'Transfer-Encoding': 'chunked' },
    });
    await connection.send('5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n');
    equal((await connection.answer()).status, 200);
    equal(engine.received()[0]?.body.toString(), 'hello world');
    await connection.request({ path: '/version' });
    equal((await connection.answer()).status, 200);
  });

  for (const upgrade of [true, false]) {
    it(`hijacks ${upgrade ? 'with 101' : 'without an upgrade, with 200'} and passes half-close on`, async () => {
      await using connection = await connectRaw(address);
      await connection.request({
        method: 'POST',
        path: '/containers/web/attach?stream=1&stdin=1&stdout=1',
        headers: upgrade ? { Connection: 'Upgrade', Upgrade: 'tcp' } : {},
      });
      const head = await connection.head();
      equal(head.startLine, upgrade ? 'HTTP/1.1 101 UPGRADED' : 'HTTP/1.1 200 OK');
      await connection.send('some input');
      connection.halfClose();
      equal((await connection.rest()).toString(), `${greeting}some inputEOF 10\n`);
      equal(engine.received()[0]?.halfClosed, true);
    });
  }

  it('can end its own side first and still takes input', async () => {
    const exec = await requestRaw(address, {
      method: 'POST',
      path: '/containers/web/exec',
      body: JSON.stringify({ Cmd: ['close-first'], Tty: true }),
    });
    const { Id } = JSON.parse(exec.body.toString());
    await using connection = await connectRaw(address);
    await connection.request({ method: 'POST', path: `/exec/${Id}/start`, body: '{"Tty":true}' });
    await connection.head();
    equal((await connection.rest()).toString(), `${greeting}bye\n`);
    await connection.send('late input');
    connection.halfClose();
    await eventually(() => equal(engine.receivedAt('/exec/')[0]?.halfClosed, true));
    equal(engine.receivedAt('/exec/')[0]?.hijackedBytes, 10);
  });

  it('sends the head of wait before the container exits', async () => {
    await using connection = await connectRaw(address);
    await connection.request({ method: 'POST', path: '/containers/web/wait' });
    const head = await connection.head();
    equal(head.status, 200);
    engine.feeds.exit(container.id, 3);
    const pieces: Buffer[] = [];
    for await (const piece of connection.body(head)) pieces.push(piece);
    deepEqual(JSON.parse(Buffer.concat(pieces).toString()), { StatusCode: 3 });
  });

  it('delivers followed logs line by line and notices that the reader left', async () => {
    const connection = await connectRaw(address);
    await connection.request({ path: '/containers/web/logs?follow=1&stdout=1' });
    const body = connection.body(await connection.head());
    await eventually(() => equal(engine.feeds.openStreams(), 1));
    engine.feeds.log(container.id, 'first\n');
    equal((await body.next()).value?.toString(), 'first\n');
    await connection[Symbol.asyncDispose]();
    await eventually(() => equal(engine.feeds.openStreams(), 0));
    equal(engine.received()[0]?.outcome, 'client-left');
  });

  it('fails as it is told to', async () => {
    engine.failWith(() => ({ kind: 'garbage' }));
    match(await exchangeRaw(address, 'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'), /^this is not HTTP/);
    engine.failWith(() => ({ kind: 'reset' }));
    equal(await exchangeRaw(address, 'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'), '');
    engine.failWith(() => ({ kind: 'status', status: 500, body: { message: 'boom' } }));
    equal((await requestRaw(address, { path: '/version' })).status, 500);
    engine.failWith(() => undefined);
    await engine.down();
    await engine.up();
    equal((await requestRaw(address, { path: '/version' })).status, 200);
  });
});
