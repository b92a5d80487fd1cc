// What a scrape shows, and the three answers of the metrics listener, over a real socket.

import assert from 'node:assert/strict';
import type { Member, MemberRecord } from '../cluster/cluster.ts';
import type { EngineHealth } from '../docker/docker.ts';
import type { LogFields } from '../log.ts';
import { silentLogger } from '../log.ts';
import type { HealthInputs } from './health.ts';
import { decideHealth } from './health.ts';
import type { MetricsNeeds } from './metrics.ts';
import { createMetrics } from './metrics.ts';
import { createMetricsServer } from './metrics-server.ts';

const never = new AbortController().signal;
const reachable: EngineHealth = { kind: 'reachable' };
const member = (state: Member['state']): Member => ({
  record: { nodeName: 'n' } as MemberRecord,
  self: false,
  state,
});

function metricsOf(needs: Partial<MetricsNeeds> = {}): ReturnType<typeof createMetrics> {
  const all: MetricsNeeds = {
    view: () => undefined,
    engine: () => reachable,
    openBreakers: () => 0,
    ...needs,
  };
  return createMetrics(all, { agentVersion: '0.1.0' });
}

describe('metrics', () => {
  it('count requests by route and status, and give nonsense no series of its own', async () => {
    const metrics = metricsOf();
    metrics.requestEnded('local', 200, 0.002);
    metrics.requestEnded('local', 200, 0.002);
    for (const status of [0, -1, 1_000, 2.5, NaN]) metrics.requestEnded('node', status, 0.1);
    const text = await metrics.text();
    assert.match(text, /^flotilla_requests_total\{route="local",status="200"\} 2$/m);
    assert.match(text, /^flotilla_requests_total\{route="node",status="none"\} 5$/m);
    assert.match(text, /^flotilla_request_seconds_count\{route="local"\} 2$/m);
  });

  it('sort durations into buckets that add up', async () => {
    const metrics = metricsOf();
    for (const seconds of [0.001, 0.002, 0.09, 0.1, 61]) metrics.requestEnded('manager', 200, seconds);
    const lines = (await metrics.text()).split('\n').filter((line) => line.includes('route="manager"'));
    const buckets = [1, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 5];
    const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10, 60, '+Inf'];
    assert.deepEqual(lines, [
      'flotilla_requests_total{route="manager",status="200"} 5',
      ...bounds.map((le, at) => `flotilla_request_seconds_bucket{le="${le}",route="manager"} ${buckets[at]}`),
      `flotilla_request_seconds_sum{route="manager"} ${0.001 + 0.002 + 0.09 + 0.1 + 61}`,
      'flotilla_request_seconds_count{route="manager"} 5',
    ]);
    assert.match(await metrics.text(), /^# TYPE flotilla_request_seconds histogram$/m);
  });

  it('count a stream down once, however often it is said to have ended', async () => {
    const metrics = metricsOf();
    const [first] = [metrics.streamOpened('hijack'), metrics.streamOpened('hijack')];
    first?.();
    first?.();
    assert.match(await metrics.text(), /^flotilla_streams_open\{kind="hijack"\} 1$/m);
  });

  it('read members, breakers and the engine at the time of the scrape', async () => {
    let engine: EngineHealth = reachable;
    const self = member('alive');
    const metrics = metricsOf({
      view: () => ({
        state: 'joined',
        self,
        members: [self, member('suspect')],
        missing: [{ nodeName: 'n3', engineId: 'e', reason: 'dead', sinceMs: 1 }],
      }),
      engine: () => engine,
      openBreakers: () => 2,
    });
    const before = await metrics.text();
    for (const state of ['alive', 'suspect', 'missing']) {
      assert.match(before, new RegExp(`^flotilla_members\\{state="${state}"\\} 1$`, 'm'));
    }
    assert.match(before, /^flotilla_cluster_joined 1$/m);
    assert.match(before, /^flotilla_breakers_open 2$/m);
    assert.match(before, /^flotilla_engine_reachable 1$/m);
    engine = { kind: 'unreachable', reason: 'refused', sinceMs: 0 };
    assert.match(await metrics.text(), /^flotilla_engine_reachable 0$/m);
  });

  it('tell memory, processor time, start and version', async () => {
    const text = await metricsOf().text();
    assert.match(text, /^flotilla_build_info\{version="0\.1\.0"\} 1$/m);
    assert.ok(Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)?.[1]) > 1e6);
    assert.ok(Number(/^process_cpu_seconds_total ([\d.]+)$/m.exec(text)?.[1]) > 0);
    assert.ok(
      Math.abs(Number(/^process_start_time_seconds (\d+)$/m.exec(text)?.[1]) - Date.now() / 1_000) < 86_400,
    );
  });
});

describe('metrics listener', () => {
  it('answers the scrape and both health questions with their reasons', async () => {
    let inputs: HealthInputs = {
      engine: reachable,
      cluster: 'joining',
      listener: 'listening',
      draining: false,
      nodeName: 'node1',
      members: 1,
      missing: [],
      nowMs: 1e9,
    };
    let base = '';
    const info = (_event: string, fields?: LogFields): void => {
      base = `http://${fields?.address}:${fields?.port}`;
    };
    const server = createMetricsServer(
      { metrics: metricsOf(), health: () => decideHealth(inputs), log: { ...silentLogger, info } },
      { host: '127.0.0.1', port: 0 },
    );
    await server.start(never);
    try {
      const get = async (path: string, init?: RequestInit): Promise<readonly [number, string]> => {
        const response = await fetch(`${base}${path}`, init);
        return [response.status, await response.text()];
      };
      assert.match((await get('/metrics'))[1], /flotilla_build_info/);
      assert.equal((await get('/healthz'))[0], 200);
      const [status, body] = await get('/readyz?verbose');
      assert.equal(status, 503);
      assert.match(body, /no other agent has answered yet/);
      inputs = { ...inputs, cluster: 'joined' };
      assert.equal((await get('/readyz'))[0], 200);
      inputs = { ...inputs, engine: { kind: 'unreachable', reason: 'refused', sinceMs: 0 } };
      assert.equal((await get('/healthz'))[0], 503);
      assert.equal((await get('/other'))[0], 404);
      assert.equal((await get('/metrics', { method: 'POST' }))[0], 405);
    } finally {
      await server.stop(never);
      await server.stop(never);
    }
    await assert.rejects(fetch(`${base}/healthz`));
  });
});
