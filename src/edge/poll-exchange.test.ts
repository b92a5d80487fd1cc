// One poll as the server sees it: the documented request, ETags, global keys, the older route, and what refusals become.

import assert from 'node:assert/strict';
import { type EdgeServer, startEdgeServer } from '../../test/support/edge-server/edge-server.ts';
import { etagOf } from '../../test/support/edge-server/etag.ts';
import { edgeVectors } from '../../test/support/edge-vectors.ts';
import { parseEdgeKey } from './edge-key.ts';
import { createPollCache } from './poll-cache.ts';
import { type PollExchangeOptions, pollOnce } from './poll-exchange.ts';
import type { PollOutcome, PollStart } from './poll-plan.ts';
import { createPortainerClient } from './portainer-client.ts';

const edgeId = '7e2b0a0d-0f0e-4f0c-9a57-3f7c2d0b6c11';
const identity = { agentVersion: '2.23.0', timeZone: 'UTC', updateId: 0 };
const noMeta = { edgeGroupIds: [], tagIds: [], environmentGroupId: 0 };
const start: PollStart = { environmentId: 7, route: 'edge' };

interface Polling extends AsyncDisposable {
  poll(from?: PollStart, timeoutMs?: number): Promise<PollOutcome>;
}

function polling(server: EdgeServer, options: Partial<PollExchangeOptions> = {}): Polling {
  const { portainerUrl } = parseEdgeKey(server.key());
  const client = createPortainerClient({
    baseUrl: portainerUrl,
    edgeId,
    insecure: false,
    mtls: undefined,
    proxies: { http: undefined, https: undefined, except: undefined },
  });
  const needs = { send: client.send, cache: createPollCache() };
  const all = { identity, meta: noMeta, isGlobal: false, ...options };
  return {
    poll: (from = start, timeoutMs = 15_000) =>
      pollOnce(needs, all, from, timeoutMs, new AbortController().signal),
    [Symbol.asyncDispose]: client.close,
  };
}

function failureOf(outcome: PollOutcome): string {
  assert.equal(outcome.kind, 'bad');
  return outcome.kind === 'bad' ? outcome.failure : '';
}

describe('one poll', () => {
  it('E2 sends the recorded request', async () => {
    await using server = await startEdgeServer();
    await using agent = polling(server);
    assert.equal((await agent.poll()).kind, 'good');
    const [seen] = server.polls();
    const { method, path, headers } = edgeVectors.poll.request;
    assert.deepEqual([seen?.method, seen?.path], [method, path]);
    for (const [name, value] of Object.entries(headers)) {
      const at = seen?.rawHeaders.findIndex((each) => each.toLowerCase() === name.toLowerCase()) ?? -1;
      assert.equal(seen?.rawHeaders[at + 1], value, name);
    }
  });

  it('has the ETags of the recorded answers in its server', () => {
    for (const { body, etag } of edgeVectors.poll.responses) assert.equal(etagOf(body), etag);
  });

  it('E2 takes the answer of before at a 304, also when two alternate', async () => {
    await using server = await startEdgeServer();
    await using agent = polling(server);
    await agent.poll();
    server.say({ stacks: [{ ID: 3, Version: 2 }] });
    await agent.poll();
    server.say({ stacks: [] });
    const outcome = await agent.poll();
    assert.deepEqual(
      server.polls().map(({ status }) => status),
      [200, 200, 304],
    );
    assert.equal(server.polls()[2]?.headers['if-none-match']?.split(',').length, 2);
    assert.deepEqual(outcome.kind === 'good' && outcome.answer.stacks, []);
  });

  it('fails at a 304 for an answer that it never had, and asks for a whole one then', async () => {
    await using server = await startEdgeServer();
    await using agent = polling(server);
    await agent.poll();
    server.failWith(() => ({ kind: 'status', status: 304, body: '' }));
    assert.match(failureOf(await agent.poll()), /never sent/);
    server.failWith(() => undefined);
    assert.equal((await agent.poll()).kind, 'good');
    assert.equal(server.polls()[2]?.headers['if-none-match'], '');
  });

  it('asks the older route once where the newer is unknown, and stays with it', async () => {
    await using server = await startEdgeServer({ olderOnly: true });
    await using agent = polling(server);
    const outcome = await agent.poll();
    assert.equal(outcome.kind, 'good');
    assert.equal(outcome.route, 'older');
    assert.equal((await agent.poll(outcome)).kind, 'good');
    assert.deepEqual(
      server.polls().map(({ path }) => path),
      ['/api/endpoints/7/edge/status', '/api/endpoints/7/status', '/api/endpoints/7/status'],
    );
  });

  it('does not ask the older route a second time where both are unknown', async () => {
    await using server = await startEdgeServer();
    server.failWith(() => ({ kind: 'status', status: 404 }));
    await using agent = polling(server);
    const outcome = await agent.poll();
    assert.equal(outcome.route, 'edge-only');
    assert.match(failureOf(await agent.poll(outcome)), /^404 not found/);
    assert.equal(server.polls().length, 3);
  });

  it('returns to the newer route when the server was updated', async () => {
    await using server = await startEdgeServer();
    server.failWith(({ path }) => (path.endsWith('/7/status') ? { kind: 'status', status: 404 } : undefined));
    await using agent = polling(server);
    const outcome = await agent.poll({ environmentId: 7, route: 'older' });
    assert.equal(outcome.route, 'edge');
    assert.equal((await agent.poll(outcome)).kind, 'good');
  });

  it('learns the id of a global key by the Edge ID, and again after a refusal', async () => {
    await using server = await startEdgeServer();
    server.bindEdgeId(edgeId);
    const meta = { edgeGroupIds: [1, 2], tagIds: [], environmentGroupId: 3 };
    await using agent = polling(server, { isGlobal: true, meta });
    const found = await agent.poll({ environmentId: 0, route: 'edge' });
    assert.deepEqual([found.kind, found.environmentId], ['good', 7]);
    assert.deepEqual(JSON.parse(server.requests()[0]?.body ?? ''), {
      edgeGroupsIds: [1, 2],
      tagsIds: [],
      environmentGroupId: 3,
    });
    server.failWith(() => ({ kind: 'status', status: 403 }));
    assert.equal((await agent.poll(found)).environmentId, 0);
  });

  it('says that a global key has no environment yet, and sends an empty object without meta fields', async () => {
    await using server = await startEdgeServer();
    await using agent = polling(server, { isGlobal: true });
    const outcome = await agent.poll({ environmentId: 0, route: 'edge' });
    assert.match(failureOf(outcome), /global key: 404 not found: Unable to find the endpoint/);
    assert.equal(server.requests()[0]?.body, '{}');
  });

  const refusals: readonly (readonly [number, string, RegExp])[] = [
    [403, '{"message":"Permission denied to access environment. The device has not been trusted yet"}', /^403 refused: Permission denied .* trusted yet \(/],
    [400, '{"message":"Bad","details":"platform"}', /^400 not understood: Bad; platform \(/],
    [502, '<html>', /^502 from Portainer or a proxy before it$/],
    [500, '{"message":7}', /^500 from Portainer/],
    [401, '', /^401 unexpected$/],
  ]; // biome-ignore format: a table
  for (const [status, body, words] of refusals) {
    it(`explains ${status}`, async () => {
      await using server = await startEdgeServer();
      server.failWith(() => ({ kind: 'status', status, body }));
      await using agent = polling(server);
      assert.match(failureOf(await agent.poll()), words);
    });
  }

  const faults = [
    ['garbage', /not JSON/],
    ['truncated', /GET http/],
    ['reset', /GET http/],
    ['hang', /no answer in 300 ms/],
  ] as const;
  for (const [kind, words] of faults) {
    it(`makes a failure of ${kind}, and the next poll works`, async () => {
      await using server = await startEdgeServer();
      server.failWith(() => ({ kind }));
      await using agent = polling(server);
      // The others must come in their time.
      assert.match(failureOf(await agent.poll(start, kind === 'hang' ? 300 : undefined)), words);
      server.failWith(() => undefined);
      assert.equal((await agent.poll()).kind, 'good');
    });
  }

  it('makes a failure of a server that is gone', async () => {
    await using server = await startEdgeServer();
    await using agent = polling(server);
    await server.down();
    assert.match(failureOf(await agent.poll()), /ECONNREFUSED/);
    await server.up();
    assert.equal((await agent.poll()).kind, 'good');
  });

  it('does not carry the Edge ID to another host', async () => {
    await using thief = await startEdgeServer({ host: '127.0.0.2' });
    await using server = await startEdgeServer();
    server.failWith(() => ({ kind: 'status', status: 302, location: `${thief.url}/login` }));
    await using agent = polling(server);
    assert.match(failureOf(await agent.poll()), /^302 sends the agent elsewhere: http:\/\/127\.0\.0\.2/);
    assert.equal(thief.requests().length, 0);
  });
});
