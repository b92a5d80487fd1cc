// Stacks from fetching to removal, towards a Portainer server; what deploys them here is a list of calls, and the engine's
// view is what the test says.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createEdgeJobsBench, type EdgeJobsBench } from '../../../test/support/edge-jobs.ts';
import type { EdgeFault } from '../../../test/support/edge-server/edge-server.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { AgentError } from '../../errors.ts';
import { silentLogger } from '../../log.ts';
import type { StackKeeper } from '../edge.ts';
import { type Observed, type StackMode, settleWithinMs } from './stack-plan.ts';
import type { StackRunner } from './stack-runner.ts';
import { createStackKeeper } from './stacks.ts';

function stackOf(name: string, changes: Readonly<Record<string, unknown>> = {}): unknown {
  const text = Buffer.from(`# ${name}\nservices: {}\n`).toString('base64');
  const entry = { Name: 'docker-compose.yml', Content: text, IsFile: true, Permissions: 420 };
  return { Name: name, DirEntries: [entry], EntryFileName: 'docker-compose.yml', ...changes };
}

describe('stacks', () => {
  let bench: EdgeJobsBench;
  let keeper: StackKeeper;
  let calls: string[];
  let seen: Observed;
  let mode: StackMode;
  let fail: (call: string) => void;
  let nowMs: number;
  let wallMs: number;
  /** Undefined: both clocks go alike. */
  let wallPerWait: number | undefined;

  const call = (text: string): Promise<void> => {
    calls.push(text);
    fail(text);
    return Promise.resolve();
  };
  const runner: StackRunner = {
    validate: ({ project }) => call(`validate ${project}`),
    pull: ({ project }) => call(`pull ${project}`),
    deploy: async ({ project, composeFile, mode: how }) => {
      // The file is there when it is needed.
      assert.match(await readFile(composeFile, 'utf8'), /^# /);
      await call(`deploy ${project}${how === 'swarm' ? ' swarm' : ''}`);
    },
    remove: ({ project }) => call(`remove ${project}`),
    observe: () => {
      fail('observe');
      return Promise.resolve(seen);
    },
  };
  /** Waiting takes no time here, and makes it later. */
  const clock = {
    monotonicMs: () => nowMs,
    wallMs: () => wallMs,
    after(delayMs: number, callback: () => void) {
      nowMs += delayMs;
      wallMs += wallPerWait ?? delayMs;
      const immediate = setImmediate(callback);
      return () => clearImmediate(immediate);
    },
  };
  const start = (): StackKeeper =>
    createStackKeeper({ runner, mode: () => mode, clock, log: silentLogger }, { dataPath: bench.folder });
  const apply = (...wanted: readonly (readonly [number, number])[]): Promise<void> =>
    keeper.apply(
      wanted.map(([id, version]) => ({ id, version })),
      bench.portainer,
      new AbortController().signal,
    );
  const statusesOf = (id: number): readonly unknown[] =>
    bench.server.stackStatuses.filter(({ stackId }) => stackId === id).map(({ body }) => body.Status);
  const fetches = (): number => bench.server.requests().filter(({ method }) => method === 'GET').length;

  beforeEach(async () => {
    bench = await createEdgeJobsBench();
    calls = [];
    seen = { kind: 'running' };
    mode = 'compose';
    fail = () => undefined;
    nowMs = 0;
    wallMs = 1_729_000_000_000;
    wallPerWait = undefined;
    bench.server.stackFiles.set(1, stackOf('web'));
    bench.server.stackFiles.set(2, stackOf('db'));
    keeper = start();
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  it('are deployed with the documented statuses in their order', async () => {
    await apply([1, 3]);
    assert.deepEqual(calls, ['validate edge_web', 'deploy edge_web']);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7]);
    const [fetched] = bench.server.requests();
    assert.equal(fetched?.path, '/api/endpoints/7/edge/stacks/1?version=3');
    const put = bench.server.requests()[1];
    assert.equal(put?.path, '/api/edge_stacks/1/status');
    assert.equal(put?.headers['x-portainer-no-body'], '1');
    assert.equal(put?.body, '{"Error":"","Status":3,"EndpointID":7,"Time":1729000000}');
  });

  it('are left alone while their version stays', async () => {
    await apply([1, 1]);
    await apply([1, 1]);
    await apply([1, 1]);
    assert.equal(fetches(), 1);
    assert.equal(calls.length, 2);
  });

  it('are left alone after a restart, and removed when they went meanwhile', async () => {
    await apply([1, 1], [2, 1]);
    keeper = start();
    await apply([1, 1], [2, 1]);
    assert.equal(fetches(), 2);
    keeper = start();
    seen = { kind: 'none' };
    await apply([1, 1]);
    assert.deepEqual(calls.slice(4), ['remove edge_db']);
    assert.deepEqual(statusesOf(2), [3, 8, 1, 7, 9, 4]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7]);
  });

  it('are deployed again for another version, and pulled where that is wanted', async () => {
    await apply([1, 1]);
    bench.server.stackFiles.set(1, stackOf('web', { RePullImage: true }));
    await apply([1, 2]);
    assert.deepEqual(calls.slice(2), ['validate edge_web', 'pull edge_web', 'deploy edge_web']);
    assert.deepEqual(statusesOf(1).slice(4), [3, 6, 8, 1, 7]);
  });

  it('leave nothing behind once they are removed', async () => {
    await apply([1, 1]);
    seen = { kind: 'none' };
    await apply();
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7, 9, 4]);
    await assert.rejects(readFile(path.join(bench.folder, 'edge_stacks/1/docker-compose.yml')), {
      code: 'ENOENT',
    });
    const kept = await readFile(path.join(bench.folder, 'edge_stacks/stacks.json'), 'utf8');
    assert.deepEqual((JSON.parse(kept) as { records: unknown }).records, []);
    await apply();
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7, 9, 4]);
  });

  const failures: readonly (readonly [string, string, readonly number[], RegExp])[] = [
    ['validate', 'bad file', [3, 2], /^failed to validate stack: bad file$/],
    ['pull', 'no such image', [3, 2], /^failed to pull image: no such image$/],
    ['deploy', 'port taken', [3, 8, 2], /^failed to redeploy stack: port taken$/],
  ];
  for (const [step, said, expected, error] of failures)
    it(`say why ${step} failed, and are not tried again in this version`, async () => {
      bench.server.stackFiles.set(1, stackOf('web', { PrePullImage: step === 'pull' }));
      fail = (text) => {
        if (text.startsWith(step)) throw new AgentError('unavailable', said);
      };
      await apply([1, 1]);
      await apply([1, 1]);
      assert.deepEqual(statusesOf(1), expected);
      assert.match(String(bench.server.stackStatuses.at(-1)?.body.Error), error);
      assert.equal(fetches(), 1);
    });

  it('are tried again after a restart when they had failed', async () => {
    fail = (text) => {
      if (text.startsWith('deploy')) throw new AgentError('unavailable', 'there is no docker');
    };
    await apply([1, 1]);
    fail = () => undefined;
    keeper = start();
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 2, 3, 8, 1, 7]);
  });

  it('say what did not run in time, and that it runs later', async () => {
    seen = { kind: 'starting' };
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 2]);
    assert.match(String(bench.server.stackStatuses.at(-1)?.body.Error), /^failed to wait for status: /);
    seen = { kind: 'running' };
    nowMs += 60_000;
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 2, 7]);
  });

  for (const [what, step] of [
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ] as const)
    it(`wait as long when the time of day jumps ${what}`, async () => {
      seen = { kind: 'starting' };
      wallPerWait = step;
      await apply([1, 1]);
      assert.deepEqual(statusesOf(1), [3, 8, 1, 2]);
      assert.equal(nowMs, settleWithinMs);
    });

  it('begin their wait anew after a restart, whatever the clocks said before', async () => {
    const abort = new AbortController();
    seen = { kind: 'starting' };
    fail = (text) => {
      if (text === 'observe') abort.abort();
    };
    nowMs = 10 * settleWithinMs;
    await assert.rejects(keeper.apply([{ id: 1, version: 1 }], bench.portainer, abort.signal));
    fail = () => undefined;
    keeper = start();
    nowMs = 5;
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 2]);
    assert.equal(nowMs, 5 + settleWithinMs);
  });

  it('say what failed at once, and what completed after it ran', async () => {
    seen = { kind: 'failed', reason: 'service edge_web_1 exited with code 1' };
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 2]);
    seen = { kind: 'running' };
    await apply([1, 2]);
    seen = { kind: 'completed' };
    nowMs += 60_000;
    await apply([1, 2]);
    assert.deepEqual(statusesOf(1).slice(4), [3, 8, 1, 7, 13]);
  });

  it('name a file that leads out of the folder, and write nothing', async () => {
    const entry = { Name: '../../evil', Content: 'YQ==', IsFile: true, Permissions: 420 };
    bench.server.stackFiles.set(1, stackOf('web', { DirEntries: [entry] }));
    await apply([1, 1]);
    await apply([1, 1]);
    assert.deepEqual(calls, []);
    assert.deepEqual(statusesOf(1), [2]);
    assert.match(String(bench.server.stackStatuses[0]?.body.Error), /evil/);
    seen = { kind: 'none' };
    await apply();
    assert.deepEqual(statusesOf(1), [2, 9, 4]);
    assert.deepEqual(calls, []);
  });

  it('wait for the next poll when they cannot be fetched, and hold up no other', async () => {
    bench.server.failWith(({ path: where }) =>
      where.includes('/stacks/1?') ? { kind: 'status', status: 502 } : undefined,
    );
    await assert.rejects(apply([1, 1], [2, 1]), /fetch stack 1: status 502/);
    assert.deepEqual(statusesOf(2), [3, 8, 1, 7]);
    bench.server.failWith(({ path: where }) =>
      where.includes('/stacks/1?') ? { kind: 'garbage' } : undefined,
    );
    await assert.rejects(apply([1, 1], [2, 1]), /not one of Portainer/);
    bench.server.failWith(() => undefined);
    await apply([1, 1], [2, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7]);
    assert.equal(calls.length, 4);
  });

  it('are deployed while reports are not taken, which follow in their order', async () => {
    bench.server.failWith(({ method }) => (method === 'PUT' ? { kind: 'status', status: 503 } : undefined));
    await assert.rejects(apply([1, 1]), /report of stack 1 not taken: status 503/);
    assert.deepEqual(calls, ['validate edge_web', 'deploy edge_web']);
    bench.server.failWith(() => undefined);
    keeper = start();
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7]);
    assert.equal(calls.length, 2);
  });

  const inBetween: readonly EdgeFault[] = [
    { kind: 'status', status: 302, location: '/login' },
    { kind: 'status', status: 407 },
    { kind: 'status', status: 408 },
    { kind: 'status', status: 429 },
    { kind: 'garbage' },
  ];
  for (const fault of inBetween)
    it(`keep their reports where ${fault.kind === 'status' ? fault.status : 'a page'} is all that answers`, async () => {
      bench.server.failWith(({ method }) => (method === 'PUT' ? fault : undefined));
      await assert.rejects(apply([1, 1]), /report of stack 1 not taken/);
      assert.deepEqual(statusesOf(1), []);
      bench.server.failWith(() => undefined);
      await apply([1, 1]);
      assert.deepEqual(statusesOf(1), [3, 8, 1, 7]);
    });

  it('do not repeat a report that is refused for good', async () => {
    bench.server.failWith(({ method }) => (method === 'PUT' ? { kind: 'status', status: 403 } : undefined));
    await apply([1, 1]);
    bench.server.failWith(() => undefined);
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), []);
  });

  it('go on where a deployment was cut off', async () => {
    const abort = new AbortController();
    fail = (text) => {
      if (!text.startsWith('deploy')) return;
      abort.abort();
      throw new AgentError('cancelled', 'given up');
    };
    await assert.rejects(keeper.apply([{ id: 1, version: 1 }], bench.portainer, abort.signal));
    fail = () => undefined;
    keeper = start();
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 3, 8, 1, 7]);
  });

  it('end their waiting with the signal', async () => {
    seen = { kind: 'starting' };
    const abort = new AbortController();
    const stuck = { ...clock, after: () => () => undefined };
    const waiting = createStackKeeper(
      { runner, mode: () => mode, clock: stuck, log: silentLogger },
      { dataPath: bench.folder },
    ).apply([{ id: 1, version: 1 }], bench.portainer, abort.signal);
    await eventually(() => statusesOf(1).length === 3);
    abort.abort();
    await assert.rejects(waiting);
  });

  it('give a name on to their replacement', async () => {
    await apply([1, 1]);
    bench.server.stackFiles.set(2, stackOf('web'));
    await apply([2, 1]);
    assert.deepEqual(calls.slice(2), ['remove edge_web', 'validate edge_web', 'deploy edge_web']);
    nowMs += 60_000;
    await apply([2, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7, 9, 4]);
    assert.deepEqual(statusesOf(2), [3, 8, 1, 7]);
  });

  it('are run as the Swarm runs them, and removed that way', async () => {
    mode = 'swarm';
    await apply([1, 1]);
    assert.deepEqual(calls, ['validate edge_web', 'deploy edge_web swarm']);
    const kept = await readFile(path.join(bench.folder, 'edge_stacks/stacks.json'), 'utf8');
    assert.match(kept, /"mode": "swarm"/);
  });

  it('are deployed again where the list of them cannot be read, and forgotten for another environment', async () => {
    await apply([1, 1]);
    const other = { ...bench.portainer, environmentId: 8 };
    await start().apply([], other, new AbortController().signal);
    assert.deepEqual(calls.slice(2), []);
    await writeFile(path.join(bench.folder, 'edge_stacks/stacks.json'), '{"form":1,"rec');
    keeper = start();
    await apply([1, 1]);
    assert.deepEqual(calls.slice(2), ['validate edge_web', 'deploy edge_web']);
  });

  it('are those of one Portainer: another one with the same ids has its own', async () => {
    await apply([1, 1], [2, 1]);
    await using other = await createEdgeJobsBench();
    other.server.stackFiles.set(1, stackOf('shop'));
    const applyThere = (): Promise<void> =>
      start().apply([{ id: 1, version: 1 }], other.portainer, new AbortController().signal);
    await applyThere();
    assert.deepEqual(calls.slice(4), ['validate edge_shop', 'deploy edge_shop']);
    assert.deepEqual(
      other.server.stackStatuses.map(({ stackId, body }) => [stackId, body.Status]),
      [3, 8, 1, 7].map((status) => [1, status]),
    );
    await applyThere();
    assert.equal(calls.length, 6);
  });

  it('are known from a list that does not say which Portainer it is of', async () => {
    await apply([1, 1]);
    const file = path.join(bench.folder, 'edge_stacks/stacks.json');
    const kept = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...kept, form: 1, portainerUrl: undefined }));
    keeper = start();
    await apply([1, 1]);
    assert.equal(calls.length, 2);
  });

  it('are looked at again when the engine did not answer', async () => {
    fail = (text) => {
      if (text === 'observe') throw new AgentError('timeout', 'engine is silent');
    };
    await assert.rejects(apply([1, 1]), /engine is silent/);
    fail = () => undefined;
    await apply([1, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7]);
  });
});
