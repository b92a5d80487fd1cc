// Which stacks are deployed and removed, and what of them is reported, as tables.

import assert from 'node:assert/strict';
import {
  afterLook,
  afterStart,
  isNameTaken,
  type Observed,
  planStacks,
  type StackPhase,
  type StackRecord,
  settleWithinMs,
  withReport,
} from './stack-plan.ts';

function record(id: number, phase: StackPhase, changes: Partial<StackRecord> = {}): StackRecord {
  return {
    id,
    version: 1,
    project: `edge_${id}`,
    mode: 'compose',
    phase,
    sinceMs: 0,
    reports: [],
    ...changes,
  };
}

describe('plan of stacks', () => {
  const steps: readonly (readonly [
    string,
    readonly [number, number][],
    readonly StackRecord[],
    readonly string[],
  ])[] = [
    ['a new stack', [[1, 1]], [], ['deploy 1']],
    ['another version', [[1, 2]], [record(1, 'running')], ['deploy 1']],
    ['an older version', [[1, 1]], [record(1, 'running', { version: 2 })], ['deploy 1']],
    ['one that runs', [[1, 1]], [record(1, 'running')], []],
    ['one that completed', [[1, 1]], [record(1, 'completed')], []],
    ['one that starts', [[1, 1]], [record(1, 'starting')], []],
    ['one that is late', [[1, 1]], [record(1, 'late')], []],
    ['one that failed', [[1, 1]], [record(1, 'failed')], []],
    ['one that was cut off', [[1, 1]], [record(1, 'deploying')], ['deploy 1']],
    ['one that is not wanted any more', [], [record(1, 'running')], ['remove 1']],
    ['one that failed and is not wanted', [], [record(1, 'failed')], ['remove 1']],
    ['one that was cut off and is not wanted', [], [record(1, 'deploying')], ['remove 1']],
    ['one that is on its way out', [], [record(1, 'removing')], []],
    ['one that is gone', [], [record(1, 'removed')], []],
    ['one that is wanted again', [[1, 1]], [record(1, 'removing')], ['deploy 1']],
    ['a replacement', [[2, 1]], [record(1, 'running')], ['remove 1', 'deploy 2']],
    [
      'the same twice',
      [
        [1, 1],
        [1, 1],
      ],
      [],
      ['deploy 1'],
    ],
  ];
  for (const [what, wanted, records, expected] of steps)
    it(`does ${expected.join(', ') || 'nothing'} for ${what}`, () => {
      const jobs = wanted.map(([id, version]) => ({ id, version }));
      const { leaving, coming } = planStacks(jobs, records);
      const found = [
        ...leaving.map(({ id }) => `remove ${id}`),
        ...coming.map(({ job }) => `deploy ${job.id}`),
      ];
      assert.deepEqual(found, expected);
    });

  it('tries again after a start what failed, and nothing else', () => {
    for (const phase of [
      'starting',
      'late',
      'running',
      'completed',
      'removing',
      'removed',
      'deploying',
    ] as const)
      assert.equal(afterStart(record(1, phase), 0).phase, phase);
    assert.equal(afterStart(record(1, 'failed'), 0).phase, 'deploying');
  });

  const failed: Observed = { kind: 'failed', reason: 'service web exited with code 1' };
  const looks: readonly (readonly [StackPhase, Observed, number, StackPhase, number | undefined])[] = [
    ['starting', { kind: 'running' }, 1, 'running', 7],
    ['starting', { kind: 'completed' }, 1, 'completed', 13],
    ['starting', failed, 1, 'failed', 2],
    ['starting', { kind: 'starting' }, 1, 'starting', undefined],
    ['starting', { kind: 'none' }, 1, 'starting', undefined],
    ['starting', { kind: 'starting' }, settleWithinMs, 'late', 2],
    ['starting', { kind: 'running' }, settleWithinMs, 'running', 7],
    ['late', { kind: 'starting' }, 2 * settleWithinMs, 'late', undefined],
    ['late', { kind: 'running' }, 2 * settleWithinMs, 'running', 7],
    ['late', failed, 2 * settleWithinMs, 'late', undefined],
    ['running', { kind: 'completed' }, 1, 'completed', 13],
    ['running', failed, 1, 'running', undefined],
    ['running', { kind: 'none' }, 1, 'running', undefined],
    ['removing', { kind: 'running' }, 1, 'removing', undefined],
    ['removing', { kind: 'none' }, 1, 'removed', 4],
    ['completed', { kind: 'running' }, 1, 'completed', undefined],
    ['failed', { kind: 'running' }, 1, 'failed', undefined],
  ];
  for (const [phase, observed, nowMs, next, status] of looks)
    it(`from ${phase} sees ${observed.kind} after ${nowMs} ms: ${next}${status === undefined ? '' : `, says ${status}`}`, () => {
      const after = afterLook(record(1, phase), observed, { nowMs, wallMs: 0 });
      assert.equal(after.phase, next);
      assert.deepEqual(
        after.reports.map((report) => report.status),
        status === undefined ? [] : [status],
      );
      if (status === 2) assert.notEqual(after.reports[0]?.error, '');
    });

  it('sees when another stack has the name', () => {
    const one = record(1, 'running');
    assert.equal(isNameTaken(one, [one, record(2, 'running', { project: 'edge_1' })]), true);
    assert.equal(isNameTaken(one, [one, record(2, 'removed', { project: 'edge_1' })]), false);
    assert.equal(isNameTaken(one, [one, record(2, 'running')]), false);
  });

  it('keeps the newest reports where nobody takes them', () => {
    let stack = record(1, 'running');
    for (let at = 0; at < 100; at += 1) stack = withReport(stack, 7, String(at), { nowMs: 0, wallMs: 0 });
    assert.equal(stack.reports.length, 32);
    assert.equal(stack.reports.at(-1)?.error, '99');
  });
});
