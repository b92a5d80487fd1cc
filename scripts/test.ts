// `npm test`: every tier. The steps of `npm run check`, then the lab on real engines, which needs root on Debian.
// A tier that cannot run is counted as skipped and fails the run. `--long` runs the long versions, and keeps what they
// said in test/results, to be committed.

import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  agentsAtTheEdge,
  bundleEnv,
  bundleStep,
  checkSteps,
  furtherSteps,
  keptConnections,
} from './check-steps.ts';
import type { Counts, Step, StepResult } from './steps.ts';
import { failedTitles, forwardSignals, runLanes, runSteps, sumCounts, summaryLine } from './steps.ts';

const root = join(import.meta.dirname, '..');
const long = process.argv.includes('--long');
const env = long ? { FLOTILLA_TEST_LONG: '1' } : {};
const labTimeoutMs = long ? 3 * 3_600_000 : 15 * 60_000;
const packagesTimeoutMs = 300_000;

forwardSignals();
const startedMs = performance.now();
const labFiles = globSync('test/lab/**/*.test.ts', { cwd: root }).toSorted();
const obstacle = labFiles.length === 0 ? undefined : await findObstacle();
const runnable = obstacle === undefined ? labFiles : [];
const quietSteps = runnable.filter(needsQuiet).map((file): Step => ({ ...labStep(file), live: true }));
const contractSteps = runnable.filter(isContract).map(labStep);
const pollSteps = runnable.filter(waitsForPolls).map(labStep);
const taskSteps = runnable.filter(waitsForTasks).map(labStep);
const otherSteps = runnable
  .filter((file) => ![needsQuiet, isContract, waitsForPolls, waitsForTasks].some((is) => is(file)))
  .toSorted(longestFirst)
  .map(labStep);
const further = furtherSteps(env);
const working = [...further.filter((step) => !waits(step)), ...checkSteps(env), ...otherSteps];
const polling = [...pollSteps, ...further.filter(({ name }) => name === agentsAtTheEdge)];
const kept = further.filter(({ name }) => name === keptConnections);
const shortLanes = [[...contractSteps, ...polling], [...kept, ...taskSteps], []];
// Most labs wait more than they work, so two run side by side; what looks at times runs alone. Each builds its own Swarm,
// and a hang of one does not take the others with it. What mostly waits for polls, or keeps connections that nobody uses,
// has lanes of its own, which take little from the third, and help it when they are done. At full length the latter
// wait for over half an hour, also beside what looks at times.
const bundled = await runSteps([bundleStep], 1, say);
// Agents of an older bundle would show nothing.
const others = !bundled.every(({ ok }) => ok)
  ? []
  : long
    ? (
        await Promise.all([
          runSteps(contractSteps, 1, say),
          runSteps(kept, 1, say),
          inTurn(() => runSteps([...working, ...taskSteps, ...polling], 2, say), runQuiet),
        ])
      ).flat()
    : await inTurn(() => runLanes(shortLanes, working, say), runQuiet);
const results = [...bundled, ...others];
if (obstacle !== undefined) say(`SKIPPED            lab: ${obstacle}\n`);

const seconds = (performance.now() - startedMs) / 1_000;
const counts: Counts = {
  ...sumCounts(results),
  skipped: sumCounts(results).skipped + (obstacle === undefined ? 0 : labFiles.length),
};
const summary = `${failedTitles(results)}test took ${seconds.toFixed(0)} s\n${summaryLine(counts)}\n`;
if (long) keepResults(summary);
say(summary);
if (counts.skipped > 0 || results.some((result) => !result.ok)) process.exitCode ||= 1;

function runQuiet(): Promise<readonly StepResult[]> {
  return runSteps(quietSteps, 1, say);
}

async function inTurn(
  ...runs: readonly (() => Promise<readonly StepResult[]>)[]
): Promise<readonly StepResult[]> {
  const all: StepResult[] = [];
  for (const run of runs) all.push(...(await run()));
  return all;
}

function say(text: string): void {
  process.stdout.write(text);
}

function keepResults(summary: string): void {
  const folder = join(root, 'test', 'results');
  const date = new Date().toISOString().slice(0, 10);
  const parts = results.map(({ step, ok, seconds: took, output }) => {
    return `# ${step.name}: ${ok ? 'ok' : 'FAILED'} after ${took.toFixed(0)} s\n${output.trimEnd()}\n`;
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `long-${date}.txt`), `${summary}\n${parts.join('\n')}`);
}

/** Looks at times, or at what a lab leaves behind. */
function needsQuiet(file: string): boolean {
  return /\/(?:faults|lab-removal|lists|membership|transfer)\.test\.ts$/.test(file);
}

/** For two minutes between two requests (C10). */
function isContract(file: string): boolean {
  return file.endsWith('/conformance.test.ts');
}

/** Or until a black hole is noticed. */
function waitsForPolls(file: string): boolean {
  return /\/edge-(?:leader|nat|page)\.test\.ts$/.test(file);
}

/** Of the Swarm or of Edge, or for the time of a faster clock. */
function waitsForTasks(file: string): boolean {
  return /\/(?:edge-jobs|edge-tunnel|events|socket-sdk|swarm)\.test\.ts$/.test(file);
}

function waits({ name }: Step): boolean {
  return name === agentsAtTheEdge || name === keptConnections;
}

/** Those with the most cases. */
function longestFirst(a: string, b: string): number {
  const rank = (file: string): number => {
    const at = ['socket-cli', 'cli', 'cli-people', 'socket-compose'].findIndex((name) =>
      file.endsWith(`/${name}.test.ts`),
    );
    return at === -1 ? labFiles.length : at;
  };
  return rank(a) - rank(b);
}

function labStep(file: string): Step {
  return {
    name: `lab ${file}`,
    command: ['mocha', '--reporter', 'spec', file],
    timeoutMs: labTimeoutMs,
    mocha: true,
    env: { ...bundleEnv, ...env },
  };
}

/** Why the lab cannot run here; undefined when it can. Installs the Debian packages it needs. */
async function findObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux' || !existsSync('/etc/debian_version')) {
    return 'it needs Debian (network namespaces and the packages docker.io, iptables, iproute2, busybox-static)';
  }
  if (process.getuid?.() !== 0) return 'it needs root, to make network namespaces and start engines';
  const [packages] = await runSteps(
    [
      {
        name: 'Debian packages of the lab',
        command: ['node', 'scripts/debian-packages.ts'],
        timeoutMs: packagesTimeoutMs,
      },
    ],
    1,
  );
  return packages?.ok === true ? undefined : 'Debian packages are missing and could not be installed';
}
