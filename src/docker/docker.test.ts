// The engine's facts over a real unix socket: at start, after changes, and while the engine hangs, fails or is gone.

import assert from 'node:assert/strict';
import { eventually } from '../../test/support/eventually.ts';
import type { FakeEngine } from '../../test/support/fake-engine.ts';
import { startFakeEngine } from '../../test/support/fake-engine.ts';
import { AgentError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import type { Docker, DockerNeeds, DockerOptions, EngineFacts } from './docker.ts';
import { createDocker } from './docker.ts';

const never = new AbortController().signal;
/** Long enough that only `refresh` reads; tests of the loop set their own. */
const noRefreshMs = 3_600_000;

function dockerOn(
  engine: FakeEngine,
  options: Partial<DockerOptions> = {},
  needs: Partial<DockerNeeds> = {},
): Docker {
  return createDocker(
    { log: silentLogger, hostName: 'host', readProcFile: async () => '', nowMs: () => 1_000, ...needs },
    { dockerSocket: engine.socketPath, refreshIntervalMs: noRefreshMs, requestTimeoutMs: 15_000, ...options },
  );
}

/** Ends the docker and its engine after the test, whatever happened in it. */
async function withDocker(engine: FakeEngine, docker: Docker, test: () => Promise<void>): Promise<void> {
  try {
    await test();
  } finally {
    await docker.stop(never);
    await engine[Symbol.asyncDispose]();
  }
}

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AgentError && error.code === code;
}

describe('docker', () => {
  it('knows the engine after the start, and nothing before', async () => {
    const engine = await startFakeEngine({ name: 'node1', swarm: 'manager' });
    const docker = dockerOn(engine);
    await withDocker(engine, docker, async () => {
      assert.throws(() => docker.facts(), isError('engine-unreachable'));
      assert.equal(docker.health().kind, 'unreachable');
      await docker.start(never);
      await docker.start(never);
      assert.equal(docker.facts().nodeName, 'node1');
      assert.equal(docker.facts().engineId, engine.facts.engineId);
      assert.equal(docker.facts().swarm?.role, 'manager');
      assert.equal(docker.facts().swarm?.leader, true);
      assert.deepEqual(docker.health(), { kind: 'reachable' });
    });
  });

  it('sees a demotion by itself, and calls back only when something changed', async () => {
    const engine = await startFakeEngine({ swarm: 'manager' });
    const docker = dockerOn(engine, { refreshIntervalMs: 5 });
    await withDocker(engine, docker, async () => {
      const heard: EngineFacts[] = [];
      docker.onChange((facts) => heard.push(facts));
      await docker.start(never);
      engine.forget();
      await eventually(() => engine.receivedAt('/info').length >= 3);
      assert.equal(heard.length, 1);
      engine.become({ swarm: 'worker' });
      // A reading in progress at that moment may see a manager whom nobody tells about its node: one change more.
      await eventually(() => heard.at(-1)?.swarm?.role === 'worker');
      assert.ok(heard.length <= 3);
    });
  });

  it('tells the nodes of the Swarm where its engine is a manager', async () => {
    const engine = await startFakeEngine({ name: 'node1', swarm: 'manager' });
    const docker = dockerOn(engine);
    await withDocker(engine, docker, async () => {
      await docker.start(never);
      const nodes = await docker.swarmNodes(never);
      assert.deepEqual(
        nodes?.map(({ nodeName, role }) => [nodeName, role]),
        [['node1', 'manager']],
      );
      engine.become({ swarm: 'worker' });
      await docker.refresh();
      assert.equal(await docker.swarmNodes(never), undefined);
    });
  });

  it('shares one reading among calls at the same time', async () => {
    const engine = await startFakeEngine();
    const docker = dockerOn(engine);
    await withDocker(engine, docker, async () => {
      const [first, second] = await Promise.all([docker.refresh(), docker.refresh()]);
      assert.equal(first, second);
      assert.equal(engine.receivedAt('/info').length, 1);
    });
  });

  it('waits for an engine that is not there yet', async () => {
    const engine = await startFakeEngine();
    await engine.down();
    const docker = dockerOn(
      engine,
      { startRetryMs: 5 },
      { log: { ...silentLogger, warn: () => void engine.up() } },
    );
    await withDocker(engine, docker, async () => {
      await docker.start(never);
      assert.equal(docker.facts().nodeName, 'node1');
    });
  });

  it('gives up the start after its bound, and at once when told to stop', async () => {
    const engine = await startFakeEngine();
    await engine.down();
    const docker = dockerOn(engine, { startRetryMs: 5, startTimeoutMs: 20 });
    await withDocker(engine, docker, async () => {
      await assert.rejects(docker.start(never), isError('engine-unreachable'));
      const stopping = new AbortController();
      const patient = dockerOn(engine, { startRetryMs: noRefreshMs, startTimeoutMs: 10 * noRefreshMs });
      const start = patient.start(stopping.signal);
      stopping.abort(new Error('stopping'));
      await assert.rejects(start);
    });
  });

  it('keeps the last facts while the engine is gone, says so, and recovers', async () => {
    const engine = await startFakeEngine();
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (event: string) => warnings.push(event) };
    const docker = dockerOn(engine, { refreshIntervalMs: 5 }, { log, nowMs: () => 42 });
    await withDocker(engine, docker, async () => {
      await docker.start(never);
      await engine.down();
      await eventually(() => docker.health().kind === 'unreachable');
      assert.equal(docker.facts().nodeName, 'node1');
      const health = docker.health();
      assert.ok(health.kind === 'unreachable' && health.sinceMs === 42);
      await engine.up();
      await eventually(() => docker.health().kind === 'reachable');
      assert.deepEqual(warnings, ['engine unreachable']);
    });
  });

  it('does not wait for ever for an engine that hangs', async () => {
    const engine = await startFakeEngine();
    const docker = dockerOn(engine, { requestTimeoutMs: 30 });
    await withDocker(engine, docker, async () => {
      engine.failWith(() => ({ kind: 'hang' }));
      await assert.rejects(docker.refresh(), isError('timeout'));
    });
  });

  it('takes no half answer, and none that is no facts', async () => {
    const engine = await startFakeEngine();
    const docker = dockerOn(engine);
    await withDocker(engine, docker, async () => {
      // dockerode never settles then: it is the time that ends it.
      const hasty = dockerOn(engine, { requestTimeoutMs: 500 });
      engine.failWith(() => ({ kind: 'cut-body' }));
      await assert.rejects(hasty.refresh(), AgentError);
      await hasty.stop(never);
      engine.failWith(() => ({ kind: 'garbage' }));
      await assert.rejects(docker.refresh(), isError('engine-unreachable'));
      engine.failWith(() => ({ kind: 'status', status: 200, body: {} }));
      await assert.rejects(docker.refresh(), isError('protocol-violation'));
    });
  });

  it('stops in the middle of a question', async () => {
    const engine = await startFakeEngine();
    engine.failWith(() => ({ kind: 'hang' }));
    const docker = dockerOn(engine, { requestTimeoutMs: noRefreshMs });
    await withDocker(engine, docker, async () => {
      const asked = docker.refresh();
      await eventually(() => engine.received().length > 0);
      await docker.stop(never);
      await assert.rejects(asked, isError('cancelled'));
    });
  });

  it('remains a manager when the Swarm has lost its quorum', async () => {
    const engine = await startFakeEngine({ swarm: 'manager' });
    const docker = dockerOn(engine);
    await withDocker(engine, docker, async () => {
      engine.failWith(({ target }) =>
        target.includes('/nodes/')
          ? { kind: 'status', status: 503, body: { message: 'The swarm does not have a leader' } }
          : undefined,
      );
      const { swarm } = await docker.refresh();
      assert.deepEqual([swarm?.role, swarm?.leader], ['manager', false]);
    });
  });
});

describe('docker, about the agent itself', () => {
  const id = 'c'.repeat(64);

  it('finds its own container by a bound file when the host name is not its id', async () => {
    const engine = await startFakeEngine();
    const mountinfo = `1 2 8:1 /var/lib/docker/containers/${id}/hosts /etc/hosts rw - ext4 x rw`;
    const readProcFile = async (path: string): Promise<string> =>
      path.endsWith('mountinfo') ? mountinfo : '';
    const docker = dockerOn(engine, {}, { hostName: 'aaaaaaaaaaaa', readProcFile });
    engine.state.containers = [{ id, name: 'agent', tty: false, createdSeconds: 1 }];
    await withDocker(engine, docker, async () => {
      const own = await docker.ownContainer(never);
      assert.equal(own?.id, id);
      assert.equal(engine.receivedAt('/containers/aaaaaaaaaaaa/json').length, 1);
    });
  });

  it('knows that it is in no container', async () => {
    const engine = await startFakeEngine();
    const docker = dockerOn(engine, {}, { hostName: 'aaaaaaaaaaaa' });
    await withDocker(engine, docker, async () => {
      assert.equal(await docker.ownContainer(never), undefined);
    });
  });

  it('asks a manager for the tasks of a service, and a worker not at all', async () => {
    const engine = await startFakeEngine({ swarm: 'manager' });
    const docker = dockerOn(engine);
    await withDocker(engine, docker, async () => {
      await docker.start(never);
      const task = { Status: { State: 'running' }, NetworksAttachments: [{ Addresses: ['10.0.1.5/24'] }] };
      engine.failWith(({ target }) =>
        target.includes('/tasks') ? { kind: 'status', status: 200, body: [task] } : undefined,
      );
      assert.deepEqual(await docker.taskAddresses('f_agent', never), ['10.0.1.5']);
      const [asked] = engine.receivedAt('/tasks');
      const filters = new URLSearchParams(asked?.target.split('?')[1]).get('filters');
      assert.deepEqual(JSON.parse(filters ?? ''), { service: ['f_agent'], 'desired-state': ['running'] });
      engine.become({ swarm: 'worker' });
      await docker.refresh();
      assert.deepEqual(await docker.taskAddresses('f_agent', never), []);
      assert.equal(engine.receivedAt('/tasks').length, 1);
    });
  });

  it('passes the signal on', async () => {
    const engine = await startFakeEngine();
    const docker = dockerOn(engine, {}, { hostName: 'aaaaaaaaaaaa' });
    engine.failWith(() => ({ kind: 'hang' }));
    await withDocker(engine, docker, async () => {
      const leaving = new AbortController();
      const own = docker.ownContainer(leaving.signal);
      await eventually(() => engine.received().length > 0);
      leaving.abort();
      await assert.rejects(own, isError('cancelled'));
    });
  });
});
