// How a run of tools is counted: a tool that crashes, hangs or says nothing of its tests is a failure too.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  countsFromMocha,
  failedTitles,
  failureReport,
  runLanes,
  runSteps,
  type Step,
  sumCounts,
  summaryLine,
} from './steps.ts';

const quick = 5_000;

describe('steps', () => {
  it('read the totals of mocha, and nothing that looks like them', () => {
    assert.deepEqual(
      countsFromMocha('\n  ..!\n\n  552 passing (12s)\n  1 pending\n  2 failing\n\n  1) target\n'),
      {
        passed: 552,
        failed: 2,
        skipped: 1,
      },
    );
    assert.equal(countsFromMocha('log: 3 passing (1s)'), undefined);
    assert.equal(countsFromMocha(''), undefined);
  });

  it('count what passed, what failed without a test, and what ran out of time', async () => {
    const print = (text: string): readonly [string, ...string[]] => [
      'node',
      '-e',
      `console.log(${JSON.stringify(text)})`,
    ];
    const shown: string[] = [];
    const results = await runSteps(
      [
        { name: 'good', command: print('  3 passing (1s)'), timeoutMs: quick, mocha: true },
        { name: 'silent', command: print(''), timeoutMs: quick, mocha: true },
        { name: 'crashed', command: ['node', '-e', 'process.exit(3)'], timeoutMs: quick },
        { name: 'hung', command: ['node', '-e', 'setTimeout(() => {}, 1e9)'], timeoutMs: 300 },
        { name: 'unknown', command: ['no-such-tool'], timeoutMs: quick },
      ],
      2,
      (text) => shown.push(text),
    );
    assert.match(shown.join(''), /hung: ended after its limit of 0\.3 s/);
    assert.equal(summaryLine(sumCounts(results)), '3 passed, 4 failed, 0 skipped');
    assert.deepEqual(
      results.filter(({ ok }) => ok).map(({ step }) => step.name),
      ['good'],
    );
  });

  it('share what is left among lanes that have done their own', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lanes-'));
    const mark = JSON.stringify(join(folder, 'mark'));
    const step = (name: string, script: string): Step => ({
      name,
      command: ['node', '-e', `const fs = require('node:fs'); ${script}`],
      timeoutMs: 4 * quick,
    });
    // The slow one ends only after the next one, which the other lane takes once it has done its own.
    const slow = `const look = () => fs.existsSync(${mark}) || setTimeout(look, 50); look();`;
    const results = await runLanes(
      [[step('own', '')], []],
      [step('slow', slow), step('next', `fs.writeFileSync(${mark}, '')`)],
      () => {},
    );
    await rm(folder, { recursive: true });
    assert.deepEqual(
      results.map(({ step }) => step.name),
      ['own', 'next', 'slow'],
    );
  });

  it('say of a failure what failed and why, without the dots before and without lines that have no end', async () => {
    const output = [
      '  ....!...',
      '    \u001b[32m✔\u001b[39m a test that passed',
      'agent of node-1: a line of its log',
      '',
      '  7 passing (1s)',
      '  1 failing',
      '',
      '  1) relay',
      '       keeps a half-open stream:',
      '     Error: closed',
      `      at ${'x'.repeat(5_000)}`,
      '',
    ].join('\n');
    const report = failureReport(output);
    assert.match(report, /^ {2}7 passing/);
    assert.match(report, /Error: closed/);
    assert.match(report, /\n {2}before that:\nagent of node-1: a line of its log\n$/);
    assert.ok(report.length < 1_000);

    const script = `console.log(${JSON.stringify(output)}); process.exitCode = 1;`;
    const results = await runSteps(
      [
        { name: 'unit', command: ['node', '-e', script], timeoutMs: quick, mocha: true },
        { name: 'lint', command: ['node', '-e', 'process.exit(1)'], timeoutMs: quick },
      ],
      1,
      () => {},
    );
    assert.equal(failedTitles(results), 'failed: unit 1) relay › keeps a half-open stream:\nfailed: lint\n');
  });

  it('report on much output in the time that it takes to read it', async () => {
    const indented = `${' '.repeat(60)}word\n`.repeat(20_000);
    const text = JSON.stringify(`${indented}  1 passing (1s)\n  1 failing\n\n  1) no colon\n`);
    const script = `process.stdout.write(${text} + ${JSON.stringify(indented)}); process.exitCode = 1;`;
    const folder = await mkdtemp(join(tmpdir(), 'output-'));
    const file = join(folder, 'print.js');
    await writeFile(file, script);
    const usage = process.cpuUsage();
    const results = await runSteps(
      [{ name: 'much', command: ['node', file], timeoutMs: 4 * quick, mocha: true }],
      1,
      () => {},
    );
    assert.equal(failedTitles(results), 'failed: much\n');
    assert.equal(summaryLine(sumCounts(results)), '1 passed, 1 failed, 0 skipped');
    const { user } = process.cpuUsage(usage);
    assert.ok(user < 3_000_000, `${user} us of work`);
    await rm(folder, { recursive: true });
  });
});
