// Ordinary exchanges through the agent, byte for byte: heads, bodies, errors, streams, and what happens when a side leaves.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { assertAgentHeaders, mark, ttyContainer, useAgent } from '../support/checks.ts';
import type { Received } from '../support/engine/exchange.ts';
import { eventually } from '../support/eventually.ts';
import type { RawConnection } from '../support/raw-http.ts';

describe('exchanges with the engine', () => {
  const under = useAgent();

  beforeEach(() => {
    under().engine.failWith(() => undefined);
    under().engine.forget();
  });

  it("passes status, body and the headers of the engine through, with the agent's own beside them", async () => {
    const answer = await under().request({ path: '/_ping', headers: mark });
    equal(answer.status, 200);
    equal(answer.body.toString(), 'OK');
    equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
    for (const [name, value] of [
      ['api-version', '1.41'],
      ['ostype', 'linux'],
      ['docker-experimental', 'false'],
      ['builder-version', '1'],
      ['swarm', 'inactive'],
      ['server', 'Docker/20.10.24 (linux)'],
      ['cache-control', 'no-cache, no-store, must-revalidate'],
    ] as const) {
      equal(answer.headers.get(name), value, name);
    }
    assertAgentHeaders(answer);
  });

  it('passes errors of the engine through untouched', async () => {
    const missing = await under().request({ path: '/containers/none/json' });
    equal(missing.status, 404);
    equal(missing.headers.get('content-type'), 'application/json');
    equal(missing.body.toString(), '{"message":"No such container: none"}\n');
    equal((await under().request({ path: '/no/such/route' })).status, 404);
  });

  it("passes the client's own headers and body through", async () => {
    const auth = Buffer.from(JSON.stringify({ password: 'x'.repeat(20_000) })).toString('base64url');
    const answer = await under().request({
      method: 'POST',
      path: '/containers/create?name=web2',
      headers: {
        ...mark,
        'X-Registry-Auth': auth,
        'Content-Type': 'application/json',
        traceparent: '00-1-2-01',
      },
      body: '{"Image":"busybox"  ,"Image":"busybox"}',
    });
    equal(answer.status, 201);
    const [received] = under().forwarded();
    equal(received?.method, 'POST');
    equal(received?.headers.get('x-registry-auth'), auth);
    equal(received?.headers.get('traceparent'), '00-1-2-01');
    equal(received?.body.toString(), '{"Image":"busybox"  ,"Image":"busybox"}');
  });

  it('C15 keeps browser and signature headers from the engine and from the log', async () => {
    const secrets = {
      Cookie: 'portainer_api_key=c0okie',
      Authorization: 'Bearer auth0rization',
      'X-CSRF-Token': 'csrft0ken',
    };
    equal((await under().request({ path: '/version', headers: { ...mark, ...secrets } })).status, 200);
    const [received] = under().forwarded();
    for (const name of [
      'cookie',
      'authorization',
      'x-csrf-token',
      'x-portaineragent-signature',
      'x-portaineragent-publickey',
    ]) {
      equal(received?.headers.has(name), false, name);
    }
    const log = under().agent.logText();
    for (const text of ['c0okie', 'auth0rization', 'csrft0ken', under().signer.publicKeyHex]) {
      equal(log.includes(text), false, text);
    }
  });

  it("answers HEAD with the engine's length and no body, and keeps the connection", async () => {
    await using connection = await under().connect();
    await connection.request({ method: 'HEAD', path: '/_ping', headers: under().signer.headers() });
    const head = await connection.answer('HEAD');
    equal(head.headers.get('content-length'), '2');
    await connection.request({ path: '/_ping', headers: under().signer.headers() });
    equal((await connection.answer()).body.toString(), 'OK');
  });

  it('passes the path statistics of an archive through, on HEAD and on GET', async () => {
    for (const method of ['HEAD', 'GET']) {
      const answer = await under().request({ method, path: '/containers/web/archive?path=/etc/hosts' });
      const stat = answer.headers.get('x-docker-container-path-stat') ?? '';
      equal(JSON.parse(Buffer.from(stat, 'base64').toString()).name, 'file');
      equal(answer.body.toString(), method === 'HEAD' ? '' : 'tar!');
    }
  });

  it('answers Expect: 100-continue before the body is sent, and then passes the body on', async () => {
    await using connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: '/images/load',
      headers: { ...under().signer.headers(), ...mark, Expect: '100-continue', 'Content-Length': '5' },
    });
    equal((await connection.head()).status, 100);
    await connection.send('hello');
    equal((await connection.answer()).status, 200);
    equal(under().forwarded()[0]?.body.toString(), 'hello');
  });

  it('refuses an unsigned Expect: 100-continue without asking for the body', async () => {
    await using connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: '/images/load',
      headers: { ...mark, Expect: '100-continue', 'Content-Length': '5' },
    });
    equal((await connection.head()).status, 403);
    deepEqual(under().forwarded(), []);
  });

  it('passes a chunked upload on without knowing its end', async () => {
    await using connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: '/build',
      headers: { ...under().signer.headers(), ...mark, 'Transfer-Encoding': 'chunked' },
    });
    await connection.send('3\r\nabc\r\n');
    await eventually(() => equal(under().forwarded()[0]?.bodyBytes, 3));
    await connection.send('3\r\ndef\r\n0\r\n\r\n');
    equal((await connection.answer()).status, 200);
    equal(under().forwarded()[0]?.bodySha256, createHash('sha256').update('abcdef').digest('hex'));
  });

  it('sends the head of wait at once and its body when the container exits', async () => {
    await using connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: `/containers/${ttyContainer.id}/wait?condition=next-exit`,
      headers: { ...under().signer.headers(), 'Content-Length': '0' },
    });
    const head = await connection.head();
    equal(head.status, 200);
    under().engine.feeds.exit(ttyContainer.id, 7);
    equal((await connection.body(head).next()).value?.toString(), '{"StatusCode":7}\n');
  });

  it('C12 delivers each followed line at once, and events too', async () => {
    for (const [path, push] of [
      [
        '/containers/web/logs?follow=1&stdout=1',
        (text: string) => under().engine.feeds.log(ttyContainer.id, text),
      ],
      ['/events', (text: string) => under().engine.feeds.event(text)],
    ] as const) {
      await using connection = await under().connect();
      const body = await openStream(connection, path);
      for (const text of ['one', 'two', 'three']) {
        push(text);
        match((await body.next()).value?.toString() ?? '', new RegExp(text));
      }
    }
  });

  it('passes an error that comes after the 200 of a pull', async () => {
    const answer = await under().request({ method: 'POST', path: '/images/create?fromImage=broken' });
    equal(answer.status, 200);
    match(answer.body.toString(), /^\{"status".*\r\n\{"errorDetail".*\}\r\n$/s);
  });

  it('aborts at the engine when the client of a stream leaves', async () => {
    const connection = await under().connect();
    await openStream(connection, '/containers/web/logs?follow=1&stdout=1');
    await connection[Symbol.asyncDispose]();
    await eventually(() => equal(under().engine.feeds.openStreams(), 0));
    equal(lastForwarded()?.outcome, 'client-left');
  });

  it('aborts at the engine when the client leaves in the middle of an upload', async () => {
    const connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: '/images/load',
      headers: { ...under().signer.headers(), ...mark, 'Content-Length': '1000000' },
    });
    await connection.send('only the beginning');
    await eventually(() => equal(lastForwarded()?.bodyBytes, 18));
    await connection[Symbol.asyncDispose]();
    await eventually(() => equal(lastForwarded()?.outcome, 'body-cut'));
  });

  it('aborts at the engine when the client leaves before the answer', async () => {
    under().engine.failWith(({ target }) => (target === '/build' ? { kind: 'hang' } : undefined));
    const connection = await under().connect();
    await connection.request({
      method: 'POST',
      path: '/build',
      headers: { ...under().signer.headers(), ...mark, 'Content-Length': '0' },
    });
    await eventually(() => equal(under().forwarded().length, 1));
    await connection[Symbol.asyncDispose]();
    await eventually(() => equal(lastForwarded()?.outcome, 'client-left'));
  });

  for (const [name, fault] of [
    ['hangs up without an answer', { kind: 'reset' }],
    ['does not speak HTTP', { kind: 'garbage' }],
  ] as const) {
    it(`answers 500 in the documented shape when the engine ${name}`, async () => {
      under().engine.failWith(({ target }) => (target === '/images/json' ? fault : undefined));
      const answer = await under().request({ path: '/images/json' });
      equal(answer.status, 500);
      equal(answer.headers.get('content-type'), 'application/json');
      const body = JSON.parse(answer.body.toString());
      equal(body.message, 'Unable to proxy the request via the Docker socket');
      ok(body.details.length > 0);
      assertAgentHeaders(answer);
    });
  }

  it('answers 500 while the engine is gone and works again when it is back', async () => {
    await under().engine.down();
    for (const request of [
      { path: '/version' },
      { method: 'POST', path: '/containers/create', body: '{}' },
      {
        method: 'POST',
        path: '/exec/ab/start',
        headers: { Connection: 'Upgrade', Upgrade: 'tcp' },
        body: '{}',
      },
    ]) {
      const answer = await under().request(request);
      equal(answer.status, 500, request.path);
      equal(JSON.parse(answer.body.toString()).message, 'Unable to proxy the request via the Docker socket');
    }
    await under().engine.up();
    equal((await under().request({ path: '/version' })).status, 200);
  });

  it('cuts the connection when the engine cuts its answer: a part must not look whole', async () => {
    under().engine.failWith(({ target }) => (target === '/images/json' ? { kind: 'cut-body' } : undefined));
    await using connection = await under().connect();
    await connection.request({ path: '/images/json', headers: under().signer.headers() });
    const head = await connection.head();
    equal(head.headers.get('content-length'), '100');
    equal((await connection.rest()).toString(), '[{"Id":');
  });

  async function openStream(connection: RawConnection, path: string) {
    await connection.request({ path, headers: { ...under().signer.headers(), ...mark } });
    const head = await connection.head();
    equal(head.status, 200);
    await eventually(() => equal(under().engine.feeds.openStreams(), 1));
    return connection.body(head);
  }

  function lastForwarded(): Received | undefined {
    return under().forwarded().at(-1);
  }
});
