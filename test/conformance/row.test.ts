// How a run of the suite chooses its rows, and what its exit code says. The rows themselves run on real engines.

import { deepEqual, equal, match } from 'node:assert/strict';
import { runCommand } from '../support/lab/command.ts';
import { chooseRows, exitCodeOf, type Outcome, type Row, type RowResult } from './suite/row.ts';
import { rows } from './suite/rows.ts';

describe('rows of the conformance suite', () => {
  it('have an id each, and none with a comma or a space at an end', () => {
    const ids = rows.map(({ id }) => id);
    deepEqual([...new Set(ids)], ids);
    for (const id of ids) match(id, /^[^,\s](?:[^,]*[^,\s])?$/);
  });

  it('are chosen by their ids, and an id that is none is told', () => {
    const idsOf = (only?: string): readonly (readonly string[])[] => {
      const { chosen, unknown } = chooseRows(rows, only);
      return [chosen.map(({ id }) => id), unknown];
    };
    equal(idsOf()[0]?.length, rows.length);
    deepEqual(idsOf('W4, C1,W3 node'), [['C1', 'W3 node', 'W4'], []]);
    deepEqual(idsOf('C1,c2,C99'), [['C1'], ['c2', 'C99']]);
    deepEqual(idsOf('C1,'), [['C1'], ['(empty)']]);
    deepEqual(idsOf(''), [[], ['(empty)']]);
  });

  it('fail a run by a fault, and by none having been run; an improvement that is missing is no fault', () => {
    const plain: Row = { id: 'X1', what: '', run: async () => undefined };
    const better: Row = { ...plain, insteadOf: 'less' };
    const pass: Outcome = { kind: 'pass' };
    const fail: Outcome = { kind: 'fail', why: '' };
    const notRun: Outcome = { kind: 'not-run', missing: ['fresh'] };
    const code = (...results: readonly (readonly [Row, Outcome])[]): number =>
      exitCodeOf(results.map(([row, outcome]): RowResult => ({ row, outcome, tookMs: 0 })));
    equal(code([plain, pass], [plain, notRun], [better, fail]), 0);
    equal(code([plain, pass], [plain, fail]), 1);
    equal(code([plain, notRun], [better, notRun]), 1);
    equal(code(), 1);
  });

  it('npm run conformance ends with 2 at a row that is none, and asks no agent', async () => {
    const args = ['scripts/conformance.ts', '--url', 'https://127.0.0.1:1', '--only', 'C1,W99'];
    const { code, stdout, stderr } = await runCommand([process.execPath, ...args], { allowFailure: true });
    equal(code, 2);
    equal(stdout, '');
    match(stderr, /^no such row: W99\nrows: C1, C2,/);
    match(stderr, /--only/);
  }).timeout(20_000);
});
