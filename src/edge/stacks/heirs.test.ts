// Leaders that come and go in one Swarm, each with its own list of stacks: nothing that runs is taken down by an old list.

import assert from 'node:assert/strict';
import path from 'node:path';
import { createEdgeJobsBench, type EdgeJobsBench } from '../../../test/support/edge-jobs.ts';
import { silentLogger } from '../../log.ts';
import type { StackKeeper } from '../edge.ts';
import type { StackRunner } from './stack-runner.ts';
import { createStackKeeper } from './stacks.ts';

function stackOf(name: string, changes: Readonly<Record<string, unknown>> = {}): unknown {
  const entry = { Name: 'docker-compose.yml', Content: 'eDoge30K', IsFile: true, Permissions: 420 };
  return { Name: name, DirEntries: [entry], EntryFileName: 'docker-compose.yml', ...changes };
}

const clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(_delayMs: number, callback: () => void) {
    const immediate = setImmediate(callback);
    return () => clearImmediate(immediate);
  },
};

describe('stacks under leaders that change', () => {
  let bench: EdgeJobsBench;
  let calls: string[];
  let running: Set<string>;
  let former: StackKeeper;

  /** All of them act on one Swarm. */
  const runner: StackRunner = {
    validate: () => Promise.resolve(),
    pull: () => Promise.resolve(),
    deploy({ project, prune }) {
      calls.push(`deploy ${project}${prune ? ' pruned' : ''}`);
      running.add(project);
      return Promise.resolve();
    },
    remove({ project }) {
      calls.push(`remove ${project}`);
      running.delete(project);
      return Promise.resolve();
    },
    observe: ({ project }) => Promise.resolve({ kind: running.has(project) ? 'running' : 'none' }),
  };
  const leader = (name: string): StackKeeper =>
    createStackKeeper(
      { runner, mode: () => 'swarm', clock, log: silentLogger },
      { dataPath: path.join(bench.folder, name) },
    );
  const apply = (keeper: StackKeeper, ...wanted: readonly (readonly [number, number])[]): Promise<void> =>
    keeper.apply(
      wanted.map(([id, version]) => ({ id, version })),
      bench.portainer,
      new AbortController().signal,
    );
  const statusesOf = (id: number): readonly unknown[] =>
    bench.server.stackStatuses.filter(({ stackId }) => stackId === id).map(({ body }) => body.Status);
  const isFetchOf = (id: number, where: string): boolean => where.includes(`/edge/stacks/${id}?`);

  beforeEach(async () => {
    bench = await createEdgeJobsBench();
    calls = [];
    running = new Set();
    bench.server.stackFiles.set(1, stackOf('web'));
    bench.server.stackFiles.set(2, stackOf('db'));
    bench.server.stackFiles.set(5, stackOf('web'));
    former = leader('a');
    await apply(former, [1, 1], [2, 1]);
    calls = [];
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  it('leave a stack alone that another leader deployed under the name of a removed one', async () => {
    const other = leader('b');
    await apply(other, [1, 1], [2, 1]);
    await apply(other, [2, 1]);
    await apply(other, [5, 1], [2, 1]);
    calls = [];
    await apply(former, [5, 1], [2, 1]);
    assert.deepEqual(calls, ['deploy edge_web pruned']);
    assert.deepEqual([...running].toSorted(), ['edge_db', 'edge_web']);
  });

  it('tell the one that gave its name as removed, and prune once', async () => {
    await apply(former, [5, 1], [2, 1]);
    assert.deepEqual(statusesOf(1), [3, 8, 1, 7, 9, 4]);
    assert.deepEqual(statusesOf(5), [3, 8, 1, 7]);
    await apply(former, [5, 2], [2, 1]);
    assert.deepEqual(calls, ['deploy edge_web pruned', 'deploy edge_web']);
  });

  it('remove nothing while the name of a new one cannot be asked for', async () => {
    bench.server.failWith(({ path: where }) =>
      isFetchOf(5, where) ? { kind: 'status', status: 502 } : undefined,
    );
    await assert.rejects(apply(former, [5, 1], [2, 1]), /^AgentError: fetch stack 5: status 502$/);
    assert.deepEqual(calls, []);
    bench.server.failWith(() => undefined);
    await apply(former, [5, 1], [2, 1]);
    assert.deepEqual(calls, ['deploy edge_web pruned']);
    assert.deepEqual(statusesOf(1).slice(-2), [9, 4]);
  });

  it('keep a name for an heir that cannot be deployed yet', async () => {
    let asked = 0;
    bench.server.failWith(({ path: where }) => {
      if (isFetchOf(5, where)) asked += 1;
      return isFetchOf(5, where) && asked === 2 ? { kind: 'status', status: 502 } : undefined;
    });
    await assert.rejects(apply(former, [5, 1], [2, 1]), /fetch stack 5: status 502/);
    assert.deepEqual(calls, []);
    await apply(former, [5, 1], [2, 1]);
    assert.deepEqual(calls, ['deploy edge_web pruned']);
  });

  it('remove first what has no heir; what cannot be read is none', async () => {
    bench.server.stackFiles.set(5, stackOf('shop'));
    bench.server.stackFiles.set(6, stackOf('web', { EntryFileName: '../x' }));
    await apply(former, [5, 1], [6, 1], [2, 1]);
    assert.deepEqual(calls, ['remove edge_web', 'deploy edge_shop']);
    assert.deepEqual(statusesOf(6), [2]);
  });

  it('ask for names only when something is to be removed', async () => {
    bench.server.forget();
    await apply(former, [1, 2], [2, 1]);
    const fetches = bench.server.requests().filter(({ method }) => method === 'GET');
    assert.equal(fetches.length, 1);
  });
});
