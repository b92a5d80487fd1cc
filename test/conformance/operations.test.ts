// The agent as its operator meets it: health and metrics, the command line beside it, a start that fails, and its end.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { startAgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import type { SpawnedAgent } from '../support/spawn-agent.ts';
import { startStopwatch } from '../support/stopwatch.ts';

const program = join(import.meta.dirname, '../../src/flotilla.ts');

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function flotilla(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: 25_000 };
    execFile(process.execPath, [program, ...argv], options, (error, out, err) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, out, err });
    });
  });
}

async function get({ metrics }: SpawnedAgent, path: string): Promise<readonly [number, string]> {
  const response = await fetch(`http://${metrics.host}:${metrics.port}${path}`);
  return [response.status, await response.text()];
}

describe('operation', function () {
  this.timeout(60_000);
  const under = useAgent({ engine: { name: 'node1' } });

  it('is healthy, ready, and says the same on the command line', async () => {
    const { agent } = under();
    await eventually(async () => assert.equal((await get(agent, '/readyz'))[0], 200));
    assert.equal((await get(agent, '/healthz'))[0], 200);
    const health = await flotilla(['health', '--ready', '--control-socket', agent.controlSocket]);
    assert.equal(health.code, 0, health.err);
    assert.match(health.out, /^node1: ready$/m);
  });

  it('counts requests, and shows itself to Prometheus', async () => {
    const { agent, request } = under();
    await request({ path: '/version' });
    await eventually(async () => {
      const [, text] = await get(agent, '/metrics');
      assert.match(text, /^flotilla_requests_total\{route="local",status="200"\} [1-9]/m);
      assert.match(text, /^flotilla_members\{state="alive"\} 1$/m);
      assert.match(text, /^flotilla_engine_reachable 1$/m);
    });
  });

  it('lists the key that it belongs to, and forgets it', async () => {
    const { agent, request } = under();
    await request({ path: '/version' });
    const keys = (verb: string, ...more: string[]): Promise<Run> =>
      flotilla(['keys', verb, '--control-socket', agent.controlSocket, ...more]);
    const before = await keys('list');
    assert.match(before.out, /^SHA256:[0-9a-f]{32} {2}since 20\d\d-.* by node node1$/m);
    const forgotten = await keys('forget', '--json');
    assert.deepEqual(
      [forgotten.code, JSON.parse(forgotten.out)],
      [0, [{ node: 'node1', outcome: 'forgotten' }]],
    );
    assert.deepEqual(JSON.parse((await keys('list', '--json')).out), []);
  });

  it('is not ready while the engine is gone, and is again when it is back', async () => {
    const { agent, engine } = under();
    await engine.down();
    await eventually(
      async () => {
        const [status, body] = await get(agent, '/readyz');
        assert.equal(status, 503);
        assert.match(body, /unreachable for \d+ s/);
      },
      { withinMs: 30_000 },
    );
    assert.equal((await get(agent, '/healthz'))[0], 200);
    await engine.up();
  });
});

describe('start and end', function () {
  this.timeout(60_000);
  it('reports every fault of the configuration at once, with code 2', async () => {
    const { code, err } = await flotilla(['agent', '--host', 'here'], { AGENT_PORT: 'x', AGENT_SECRET: ' ' });
    assert.equal(code, 2);
    assert.match(err, /3 faults/);
    assert.match(err, /--host="here": expected a literal IPv4 or IPv6 address/);
    assert.match(err, /AGENT_PORT="x": expected an integer from 0 to 65535/);
    assert.match(err, /AGENT_SECRET=\(redacted\)/);
  });

  it('ends with 0 after SIGTERM, though a client still follows a log', async () => {
    await using under = await startAgentUnderTest({ env: { FLOTILLA_DRAIN_TIMEOUT: '200ms' } });
    const { agent, engine, signer } = under;
    await using connection = await under.connect();
    await connection.request({ path: '/containers/web/logs?follow=1&stdout=1', headers: signer.headers() });
    assert.equal((await connection.head()).status, 200);
    assert.equal(engine.feeds.openStreams(), 1);
    using stopping = startStopwatch();
    assert.equal(await agent.stop(), 0);
    assert.ok(stopping.elapsedMs() < 5_000);
    assert.ok(agent.logLines().some(({ msg }) => msg === 'stopped'));
  });
});
