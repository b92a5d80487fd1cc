// Rows E1, E2, E3, E7 and E8: a real agent in Edge mode against a Portainer-like server, its tunnel included. The engines
// are fake ones; the jobs and the stacks have tests of their own.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type EdgeAgentUnderTest,
  spreadWithin,
  startEdgeAgent,
  startEdgeCluster,
  testEdgeId,
} from '../support/edge-agents.ts';
import { type EdgeServer, startEdgeServer } from '../support/edge-server/edge-server.ts';
import { requireTunnel, startChisel, tunnelOf } from '../support/edge-tunnel.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type RawAnswer, requestRaw } from '../support/raw-http.ts';
import { isLong } from '../support/scale.ts';
import { createSigner } from '../support/signer.ts';
import { startStopwatch } from '../support/stopwatch.ts';

const pollWithin = { withinMs: 20_000, everyMs: 50 };
const form = { 'Content-Type': 'application/x-www-form-urlencoded' };

function bodyOf({ body }: RawAnswer): unknown {
  return JSON.parse(body.toString());
}

async function edgeReason({ agent }: EdgeAgentUnderTest): Promise<string> {
  const { checks } = bodyOf(await requestRaw(agent.metrics, { path: '/readyz' })) as {
    checks: readonly { name: string; reason: string }[];
  };
  return checks.find(({ name }) => name === 'edge')?.reason ?? '';
}

async function polled(server: EdgeServer, count: number): Promise<void> {
  await eventually(() => server.polls().length >= count, pollWithin);
}

describe('agent in Edge mode', function () {
  this.timeout(isLong ? 240_000 : 150_000);

  it('E1 takes a key by the API, keeps it with mode 0600, and has it after a restart', async () => {
    await using server = await startEdgeServer();
    const dataPath = await mkdtemp(join(tmpdir(), 'edge-data-'));
    try {
      {
        await using edge = await startEdgeAgent({ dataPath });
        const absent = await edge.request({ path: '/key' });
        equal(absent.status, 404);
        deepEqual(bodyOf(absent), {
          message: 'No key associated to this agent',
          details: 'No key associated to this agent',
        });
        match(await edgeReason(edge), /no Edge key/);
        const post = (body: string): Promise<RawAnswer> =>
          edge.request({ method: 'POST', path: '/key', body });
        equal((await post('nonsense')).status, 400);
        equal((await post('{"Key":""}')).status, 400);
        equal((await post('{"Key":"%%%"}')).status, 500);
        equal((await post(JSON.stringify({ Key: server.key() }))).status, 204);
        equal((await post(JSON.stringify({ Key: server.key() }))).status, 409);
        deepEqual(bodyOf(await edge.request({ path: '/key' })), { key: server.key() });
        equal(await readFile(edge.keyFile, 'utf8'), server.key());
        equal((await stat(edge.keyFile)).mode & 0o777, 0o600);
      }
      await using again = await startEdgeAgent({ dataPath });
      deepEqual(bodyOf(await again.request({ path: '/key' })), { key: server.key() });
      await polled(server, 1);
      equal(again.agent.logText().includes(server.key()), false, 'the key is in no log');
    } finally {
      await rm(dataPath, { recursive: true, force: true });
    }
  });

  it('E2 polls about 5 s after the start with all headers, takes 304, and follows another interval', async () => {
    await using server = await startEdgeServer();
    const startedMs = performance.now();
    await using edge = await startEdgeAgent({ env: { EDGE_KEY: server.key(), UPDATE_ID: '4' } });
    const listensMs = performance.now();
    await polled(server, 2);
    const [first, second] = server.polls();
    ok(first !== undefined && second !== undefined);
    const afterMs = [first.atMs - startedMs, first.atMs - listensMs] as const;
    ok(afterMs[0] > 4_000 && afterMs[1] < 9_000, `first poll after ${afterMs.join(' or ')} ms`);
    equal(first.path, '/api/endpoints/7/edge/status');
    for (const [name, value] of [
      ['x-portaineragent-edgeid', testEdgeId],
      ['portainer-agent', '2.23.0'],
      ['portainer-agent-platform', '1'],
      ['x-portaineragent-timezone', 'UTC'],
      ['x-portaineragent-update-id', '4'],
      ['if-none-match', ''],
    ] as const) {
      equal(first.headers[name], value, name);
    }
    equal(second.status, 304);
    equal(await edgeReason(edge), `polls ${server.url}; tunnel closed`);

    server.say({ checkin: 1 });
    server.forget();
    // One may be late on a busy machine, not all.
    await eventually(() => {
      const times = server.polls().map(({ atMs }) => atMs);
      const gapsMs = times.slice(1).map((atMs, at) => atMs - (times[at] ?? 0));
      const inTime = gapsMs.filter((gapMs) => gapMs > 800 && gapMs < 2_500);
      ok(inTime.length >= 2, `${gapsMs.join(', ')} ms between polls`);
    }, pollWithin);
  });

  it('E7 answers 403 without a key, 403 without a signature, and serves what is signed, over plain HTTP', async () => {
    await using server = await startEdgeServer();
    await using edge = await startEdgeAgent();
    const signer = createSigner();
    for (const path of ['/ping', '/containers/json', '/agents', '/v1.41/key']) {
      const refused = await edge.request({ path, headers: signer.headers() });
      equal(refused.status, 403, path);
      deepEqual(bodyOf(refused), {
        message: 'Unable to use the unsecured agent API without Edge key',
        details: 'Edge key not set',
      });
      equal(refused.headers.has('portainer-agent'), false, 'without the headers of the agent');
    }
    await edge.request({ method: 'POST', path: '/key', body: JSON.stringify({ Key: server.key() }) });
    equal((await edge.request({ path: '/ping' })).status, 204);
    equal((await edge.request({ path: '/containers/json' })).status, 403);
    // Without a secret of both only the tunnel brings the first Portainer: edge-trust.test.ts.
    const AGENT_SECRET = 'of both';
    await using secret = await startEdgeAgent({ env: { AGENT_SECRET, EDGE_KEY: server.key() } });
    const headers = createSigner({ secret: AGENT_SECRET }).headers();
    const served = await secret.request({ path: '/containers/json', headers });
    equal(served.status, 200);
    equal(served.headers.get('portainer-agent'), '2.23.0');
  });

  it('E3 E7 opens the tunnel when it is required, serves what is signed through it, and closes it when idle', async () => {
    await using chisel = await startChisel();
    await using server = await startEdgeServer(tunnelOf(chisel));
    await using edge = await startEdgeAgent({ env: { EDGE_KEY: server.key() } });
    const port = await freePort();
    requireTunnel(server, chisel, port);
    const through = { kind: 'tcp', host: '127.0.0.1', port } as const;
    await eventually(
      async () => equal((await requestRaw(through, { path: '/ping' })).status, 204),
      pollWithin,
    );
    match(await edgeReason(edge), /^polls .*; tunnel open$/);
    equal((await requestRaw(through, { path: '/containers/json' })).status, 403);
    const headers = createSigner().headers();
    equal((await requestRaw(through, { path: '/containers/json', headers })).status, 200);
    server.say({ status: 'IDLE', port: 0, credentials: '' });
    await eventually(() => chisel.sessions() === 0, pollWithin);
    await eventually(async () => match(await edgeReason(edge), /tunnel closed$/), pollWithin);
  });

  it('E5 makes a lost tunnel again, and says why while it cannot', async () => {
    await using chisel = await startChisel(await freePort());
    await using server = await startEdgeServer(tunnelOf(chisel));
    await using edge = await startEdgeAgent({ env: { EDGE_KEY: server.key() } });
    const port = await freePort();
    requireTunnel(server, chisel, port);
    await eventually(async () => match(await edgeReason(edge), /tunnel open$/), pollWithin);
    await chisel[Symbol.asyncDispose]();
    await eventually(async () => match(await edgeReason(edge), /^tunnel not open: /), pollWithin);
    await using again = await startChisel(chisel.port);
    again.allow('user', 'password', port);
    await eventually(async () => match(await edgeReason(edge), /tunnel open$/), pollWithin);
  });

  it('says in /readyz why polling does not work, and polls on', async () => {
    await using server = await startEdgeServer();
    server.bindEdgeId('another');
    await using edge = await startEdgeAgent({ env: { EDGE_KEY: server.key() } });
    await eventually(async () => match(await edgeReason(edge), /403 refused: Permission denied/), pollWithin);
    server.bindEdgeId(testEdgeId);
    await eventually(async () => match(await edgeReason(edge), /^polls /), pollWithin);
  });

  it('takes a key on the page, polls, and closes the page', async () => {
    await using server = await startEdgeServer();
    await using edge = await startEdgeAgent();
    const page = await eventually(() => edge.page(), { withinMs: 10_000 });
    const post = (body: string): Promise<RawAnswer> =>
      requestRaw(page, { method: 'POST', path: '/init', headers: form, body });
    equal((await post('key=')).body.toString(), 'Missing key parameter');
    equal((await post('key=nonsense')).status, 500);
    equal((await edge.request({ path: '/key' })).status, 404, 'a wrong key never half-associates');
    const done = await post(`key=${encodeURIComponent(server.key())}`);
    equal(done.status, 200);
    equal(done.body.toString(), 'Agent setup OK. You can close this page.');
    await eventually(() =>
      requestRaw(page, { path: '/' }).then(
        () => false,
        () => true,
      ),
    );
    await polled(server, 1);
  });

  it('polls on Podman too, whatever it says of a Swarm', async () => {
    await using server = await startEdgeServer();
    const env = { EDGE_KEY: server.key(), PODMAN: '1' };
    await using edge = await startEdgeAgent({ swarm: 'worker', env });
    await polled(server, 1);
    match(await edgeReason(edge), /^polls /);
  });

  it('E8 polls on the leader only, and the new leader takes over in time; the key reaches all', async () => {
    await using server = await startEdgeServer();
    await using cluster = await startEdgeCluster({
      members: [
        { name: 'node1', swarm: 'manager' },
        { name: 'node2', swarm: 'worker' },
        { name: 'node3', swarm: 'worker' },
      ],
      env: { FLOTILLA_CLUSTER_SECRET: 'a secret of the cluster' },
    });
    const [leader, second, third] = cluster.members;
    ok(leader !== undefined && second !== undefined && third !== undefined);
    // Given to a worker, whose own poller has nothing to do.
    const key = `key=${encodeURIComponent(server.key())}`;
    const page = await eventually(() => third.page());
    const given = await requestRaw(page, { method: 'POST', path: '/init', headers: form, body: key });
    equal(given.status, 200);
    for (const { keyFile } of cluster.members) {
      await eventually(async () => equal(await readFile(keyFile, 'utf8'), server.key()), spreadWithin);
    }
    for (const member of [leader, second]) {
      await eventually(() =>
        requestRaw(member.page(), { path: '/' }).then(
          () => false,
          () => true,
        ),
      );
    }
    equal((await leader.request({ path: '/key' })).status, 403, 'strangers do not get the key');
    await polled(server, 2);
    match(await edgeReason(leader), /^polls /);
    equal(await edgeReason(second), 'the agent on the leader polls');

    leader.engine.become({ swarm: 'worker' });
    second.engine.become({ swarm: 'manager' });
    using changed = startStopwatch();
    await eventually(async () => match(await edgeReason(second), /^polls /), pollWithin);
    const tookMs = changed.elapsedMs();
    ok(tookMs < 5_000 + 5_000 + 1_500, `took ${tookMs} ms`);
    await eventually(
      async () => equal(await edgeReason(leader), 'the agent on the leader polls'),
      pollWithin,
    );
  });
});
