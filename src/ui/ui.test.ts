// The life of the page with time moved by hand, the words that scripts get, and the bounds on attempts.

import assert from 'node:assert/strict';
import { createTestClock, type TestClock } from '../../test/support/edge-clock.ts';
import { eventually } from '../../test/support/eventually.ts';
import { type RawAnswer, type RawRequest, requestRaw } from '../../test/support/raw-http.ts';
import type { EdgeKey, EdgeKeys, KeySource } from '../edge/edge.ts';
import { AgentError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { createAttempts } from './attempts.ts';
import { createSetupPage, type SetupPage } from './ui.ts';

const signal = new AbortController().signal;
const key: EdgeKey = {
  text: 'good',
  portainerUrl: 'https://p.example.com',
  tunnelAddress: 'p.example.com:8000',
  fingerprint: 'x',
  environmentId: 7,
};

interface Fixture extends AsyncDisposable {
  readonly setup: SetupPage;
  readonly clock: TestClock;
  readonly keys: EdgeKeys;
  post(path: string, body: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  get(path: string): Promise<Response>;
}

/** Keys that hold what they are given; `failing` is what keeping one throws. */
function createKeys(failing?: AgentError): EdgeKeys {
  let current: EdgeKey | undefined;
  const listeners = new Set<(key: EdgeKey, from: KeySource) => void>();
  return {
    current: () => current,
    associate(_text, from) {
      if (failing !== undefined) return Promise.reject(failing);
      current = key;
      for (const listener of listeners) listener(key, from);
      return Promise.resolve(key);
    },
    onAssociated(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

async function open(keys: EdgeKeys = createKeys()): Promise<Fixture> {
  const clock = createTestClock();
  const parseKey = (text: string): EdgeKey => {
    if (text === 'good') return key;
    throw new AgentError('request-invalid', 'parse edge key: it is <b>bad</b>');
  };
  const setup = createSetupPage(
    { keys, parseKey, nodeName: () => 'node-1', clock, log: silentLogger },
    { host: '127.0.0.1', port: 0 },
  );
  await setup.start(signal);
  const base = `http://127.0.0.1:${setup.address()?.port}`;
  return {
    setup,
    clock,
    keys,
    get: (path) => fetch(`${base}${path}`),
    post: (path, body, headers = {}) =>
      fetch(`${base}${path}`, {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'text/plain', ...headers },
      }),
    async [Symbol.asyncDispose]() {
      await setup.stop(signal);
      assert.equal(clock.waiting(), 0, 'no timer is left');
    },
  };
}

async function said(response: Promise<Response>): Promise<readonly [number, string]> {
  const answer = await response;
  return [answer.status, await answer.text()];
}

describe('edge page', () => {
  it('answers scripts in the words of the original', async () => {
    await using page = await open();
    assert.deepEqual(await said(page.post('/init', '')), [400, 'Missing key parameter']);
    assert.deepEqual(await said(page.post('/init', 'key=bad')), [500, 'it is <b>bad</b>']);
    const odd = { 'Content-Type': 'multipart/form-data; boundary=x' };
    assert.equal((await said(page.post('/init', 'key=good', odd)))[0], 500);
    assert.equal((await said(page.post('/init', `key=${'x'.repeat(20_000)}`)))[0], 500);
    assert.equal(page.keys.current(), undefined);
    assert.deepEqual(await said(page.post('/init?key=good', '')), [
      200,
      'Agent setup OK. You can close this page.',
    ]);
    assert.equal(page.keys.current(), key);
  });

  it('closes a second after it took a key, for the answer to arrive', async () => {
    await using page = await open();
    await page.post('/init', 'key=good');
    page.clock.advance(999);
    assert.equal(page.setup.isOpen(), true);
    assert.match((await said(page.get('/')))[1], /This agent has a key/);
    page.clock.advance(1);
    assert.equal(page.setup.isOpen(), false);
    await assert.rejects(page.get('/'));
  });

  it('closes when a key comes in another way', async () => {
    await using page = await open();
    await page.keys.associate('good', 'member');
    page.clock.advance(1_000);
    assert.equal(page.setup.isOpen(), false);
  });

  it('closes after 15 minutes, and says so before', async () => {
    await using page = await open();
    const [, html] = await said(page.get('/'));
    const closesAt = new Date(page.clock.wallMs() + 15 * 60_000).toISOString();
    assert.ok(
      html.includes(`at <time datetime="${closesAt}">${closesAt.slice(11, 16)} UTC</time> in any case`),
    );
    page.clock.advance(15 * 60_000 - 1);
    assert.equal(page.setup.isOpen(), true);
    page.clock.advance(1);
    await eventually(() => assert.rejects(page.get('/')));
  });

  it('does not open where a key holds', async () => {
    const keys = createKeys();
    await keys.associate('good', 'disk');
    await using page = await open(keys);
    assert.equal(page.setup.isOpen(), false);
  });

  it('escapes what it shows, and keeps inner reasons to the log', async () => {
    await using page = await open(
      createKeys(new AgentError('unavailable', 'keep the edge key in /data/x: EACCES')),
    );
    const html = { Accept: 'text/html' };
    const [status, text] = await said(page.post('/check', 'key=%22%3E%3Cscript%3E', html));
    assert.equal(status, 400);
    assert.doesNotMatch(text, /<script>|<b>bad/);
    const failed = await said(page.post('/init', 'key=good', html));
    assert.equal(failed[0], 500);
    assert.match(failed[1], /could not be saved\. Nothing has changed/);
    assert.doesNotMatch(failed[1], /EACCES|\/data/);
  });

  it('tells when another key won meanwhile', async () => {
    await using page = await open(createKeys(new AgentError('limit-exceeded', 'another one')));
    assert.equal((await page.post('/init', 'key=good')).status, 409);
  });

  it('refuses requests of other sites, whatever the browser tells of them', async () => {
    await using page = await open();
    for (const headers of [
      { Origin: 'http://evil.example.com' },
      { Origin: 'null' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
    ])
      assert.equal((await page.post('/init', 'key=good', headers)).status, 403, JSON.stringify(headers));
    assert.equal(page.keys.current(), undefined);
  });

  it('answers to no name that somebody else may point at it, and says what to do', async () => {
    await using page = await open();
    const { port = 0 } = page.setup.address() ?? {};
    const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
    const ask = (host: string, more: Partial<RawRequest> = {}): Promise<RawAnswer> =>
      requestRaw(address, {
        path: '/',
        ...more,
        headers: { Host: host, Origin: `http://${host}`, ...more.headers },
      });
    const init = {
      method: 'POST',
      path: '/init',
      body: 'key=good',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    };
    const refused = await ask('rebind.evil.example', init);
    assert.equal(refused.status, 421);
    assert.match(refused.body.toString(), /Open this page by IP address/);
    assert.equal(page.keys.current(), undefined);
    const shown = await ask('rebind.evil.example', { headers: { Accept: 'text/html' } });
    assert.equal(shown.status, 421);
    assert.match(shown.body.toString(), /EDGE_SERVER_HOST/);
    assert.doesNotMatch(shown.body.toString(), /node-1/, 'a foreign page learns nothing');
    for (const host of ['node-1', 'localhost:8080', '192.0.2.10:8080'])
      assert.equal((await ask(host)).status, 200, host);
    assert.equal((await ask('node-1:8080', init)).status, 200);
  });

  it('refuses the eleventh attempt in a minute, and says when to come again', async () => {
    await using page = await open();
    for (let at = 0; at < 10; at += 1) assert.equal((await page.post('/init', 'key=bad')).status, 500);
    const refused = await page.post('/init', 'key=good');
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '60']);
    assert.equal(page.keys.current(), undefined);
    page.clock.advance(60_000);
    assert.equal((await page.post('/init', 'key=good')).status, 200);
  });

  it('starts and stops twice without harm, and says what it cannot listen on', async () => {
    await using page = await open();
    await page.setup.start(signal);
    const { port = 0 } = page.setup.address() ?? {};
    const second = createSetupPage(
      { keys: createKeys(), parseKey: () => key, nodeName: () => 'n', clock: page.clock, log: silentLogger },
      { host: '127.0.0.1', port },
    );
    await assert.rejects(second.start(signal), {
      code: 'unavailable',
      message: /listen on 127\.0\.0\.1:\d+ for the Edge page: .*EADDRINUSE/,
    });
    await page.setup.stop(signal);
    await page.setup.stop(signal);
  });
});

describe('attempts', () => {
  it('are counted by address, and bounded over all', () => {
    const clock = createTestClock();
    const attempts = createAttempts(clock);
    for (let at = 0; at < 10; at += 1) assert.equal(attempts.take('10.0.0.1'), undefined);
    assert.equal(attempts.take('10.0.0.1'), 60_000);
    for (let at = 0; at < 50; at += 1) assert.equal(attempts.take(`10.0.1.${at}`), undefined);
    assert.equal(attempts.take('10.0.2.1'), 60_000);
    clock.advance(60_000);
    assert.equal(attempts.take('10.0.0.1'), undefined);
  });
});
