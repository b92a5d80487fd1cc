// Runs the tools of check and test as child processes, a few at a time, and counts the tests they report.
// Every step has a time limit, runs in a process group of its own, and leaves no process behind.

import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

export interface Step {
  readonly name: string;
  /** The command and its arguments; tools of `node_modules/.bin` are found by name. */
  readonly command: readonly [string, ...string[]];
  readonly timeoutMs: number;
  /** A mocha run, whose counts are added up; its silence about them is a failure. */
  readonly mocha?: true;
  /** Shown while it runs rather than only when it failed. */
  readonly live?: true;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface StepResult {
  readonly step: Step;
  readonly ok: boolean;
  readonly seconds: number;
  readonly counts: Counts;
  /** What it printed, up to a bound. */
  readonly output: string;
}

const root = join(import.meta.dirname, '..');
/** What a child may print before its oldest output is dropped, characters. */
const maxOutputChars = 2_000_000;
/** The line with mocha's totals may come in pieces, characters. */
const maxTotalsChars = 4_096;
/** A stack trace through a bundled module can quote a line of a megabyte, characters. */
const maxReportLineChars = 300;
/** Room for the logs of some agents beside the failures. */
const maxReportLines = 400;
/** A mocha run that has printed its totals has nothing left to do; one that stays has left a socket or timer open. */
const lingerMs = 10_000;
/** Between asking a process group to end and making it end, milliseconds. */
const killGraceMs = 10_000;

const running = new Set<(signal: NodeJS.Signals) => void>();
/** Ctrl-C ends the run, not only the step in progress. */
let interrupted = false;

/** Runs all steps, at most `atOnce` together, in the order given; prints each one's time, and its output if it failed. */
export function runSteps(
  steps: readonly Step[],
  atOnce: number,
  write?: (text: string) => void,
): Promise<readonly StepResult[]> {
  return runLanes(Array<readonly Step[]>(atOnce).fill([]), steps, write);
}

/** As many steps together as there are lanes: each takes its own first, then the next of those that all share. */
export async function runLanes(
  lanes: readonly (readonly Step[])[],
  shared: readonly Step[],
  write: (text: string) => void = (text) => process.stdout.write(text),
): Promise<readonly StepResult[]> {
  const results: StepResult[] = [];
  const waiting = [...shared];
  const work = async (own: readonly Step[]): Promise<void> => {
    const mine = [...own];
    const next = (): Step | undefined => mine.shift() ?? waiting.shift();
    for (let step = next(); step !== undefined && !interrupted; step = next()) {
      results.push(await runStep(step, write));
    }
  };
  await Promise.all(lanes.map(work));
  return results;
}

/** Passes Ctrl-C and SIGTERM on to the steps in progress, which run in groups of their own. */
export function forwardSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      process.exitCode = 130;
      interrupted = true;
      for (const kill of running) kill(signal);
    });
  }
}

export function sumCounts(results: readonly StepResult[]): Counts {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const { counts } of results) {
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }
  return sum;
}

/** The last line of a run, in the form that scripts/test.ts and .ci/run promise. */
export function summaryLine(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
}

/** The titles of the failed tests, one line each, to stand beside the summary; a step without tests goes by its name. */
export function failedTitles(results: readonly StepResult[]): string {
  const lines = results.flatMap(({ step, ok, output }) => {
    if (ok) return [];
    const titles = titlesIn(output);
    return titles.length === 0
      ? [`failed: ${step.name}`]
      : titles.map((title) => `failed: ${step.name} ${title}`);
  });
  return lines.map((line) => `${line.slice(0, maxReportLineChars)}\n`).join('');
}

/** Mocha numbers each failure, and indents the titles that lead to it, the last of which ends with a colon. */
function titlesIn(output: string): readonly string[] {
  const plain = stripVTControlCharacters(output);
  const titles: string[] = [];
  let open: string[] = [];
  for (const line of plain.slice(totalsAt(plain)).split('\n')) {
    if (/^ {2}\d+\) /.test(line)) open = [line.trim()];
    else if (open.length > 0 && line.startsWith('    ')) open.push(line.trim());
    else open = [];
    if (open.at(-1)?.endsWith(':') !== true) continue;
    titles.push(open.join(' › '));
    open = [];
  }
  return titles;
}

/** Where mocha's report begins; 0 where there is none. */
function totalsAt(plain: string): number {
  return Math.max(plain.search(/^ {2}\d+ passing\b/m), 0);
}

/**
 * What a reader needs of a failed step's output: first what mocha says of the failures, for who keeps a report may cut
 * it, then the end of what came before, which has the logs. No rows of dots, no tests that passed, no line without end.
 */
export function failureReport(output: string): string {
  const plain = stripVTControlCharacters(output).trimEnd();
  const reportAt = totalsAt(plain);
  const kept = (text: string): readonly string[] =>
    text.split('\n').filter((line) => !/^\s*(?:[.!,]*$|✔)/.test(line));
  const totals = kept(plain.slice(reportAt)).slice(0, maxReportLines);
  const before = kept(plain.slice(0, reportAt)).slice(-maxReportLines);
  const lines = before.length === 0 ? totals : [...totals, '  before that:', ...before];
  return `${lines.map((line) => line.slice(0, maxReportLineChars)).join('\n')}\n`;
}

/** Reads the totals that mocha's reporters print; undefined where there are none. */
export function countsFromMocha(output: string): Counts | undefined {
  const count = (word: string): number | undefined => {
    const found = output.match(new RegExp(`^ {2}(\\d+) ${word}\\b`, 'm'));
    return found === null ? undefined : Number(found[1]);
  };
  const passed = count('passing');
  if (passed === undefined) return undefined;
  return { passed, failed: count('failing') ?? 0, skipped: count('pending') ?? 0 };
}

async function runStep(step: Step, write: (text: string) => void): Promise<StepResult> {
  const startedMs = performance.now();
  const { code, output } = await runCommand(step);
  const seconds = (performance.now() - startedMs) / 1_000;
  const counts = step.mocha === true ? countsFromMocha(output) : { passed: 0, failed: 0, skipped: 0 };
  const ok = code === 0 && counts !== undefined;
  write(`${ok ? 'ok    ' : 'FAILED'} ${seconds.toFixed(1).padStart(6)} s  ${step.name}\n`);
  if (!ok && step.live !== true) write(failureReport(output));
  return { step, ok, seconds, counts: failureCounted(counts, ok), output };
}

/** A run that failed without a failed test (a crash, a lint fault) still counts as one failure. */
function failureCounted(counts: Counts | undefined, ok: boolean): Counts {
  const known = counts ?? { passed: 0, failed: 0, skipped: 0 };
  return ok || known.failed > 0 ? known : { ...known, failed: 1 };
}

async function runCommand(step: Step): Promise<{ readonly code: number; readonly output: string }> {
  const [command, ...args] = step.command;
  const path = `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`;
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...step.env, PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const kill = (signal: NodeJS.Signals): void => killGroup(child.pid, signal);
  running.add(kill);
  const timers: NodeJS.Timeout[] = [];
  const endAfter = (delayMs: number, why: string): void => {
    const end = (): void => {
      add(`\n${step.name}: ${why}\n`);
      kill('SIGTERM');
    };
    timers.push(
      setTimeout(end, delayMs),
      setTimeout(() => kill('SIGKILL'), delayMs + killGraceMs),
    );
  };
  endAfter(step.timeoutMs, `ended after its limit of ${step.timeoutMs / 1_000} s`);

  const output: string[] = [];
  let outputChars = 0;
  let latest = '';
  let reported = false;
  const add = (text: string): void => {
    output.push(text);
    outputChars += text.length;
    while (outputChars > maxOutputChars) outputChars -= output.shift()?.length ?? outputChars;
  };
  const collect = (text: string): void => {
    add(text);
    if (step.live === true) process.stdout.write(text);
    latest = (latest + text).slice(-(text.length + maxTotalsChars));
    if (reported || step.mocha !== true || countsFromMocha(latest) === undefined) return;
    reported = true;
    endAfter(lingerMs, 'did not end after its tests: something was left open');
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);

  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode) => resolve(exitCode ?? 1));
    });
    return { code, output: output.join('') };
  } catch (error) {
    return { code: 1, output: `${output.join('')}${String(error)}\n` };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    running.delete(kill);
  }
}

/** The group may be gone already: then there is nothing to end. */
function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Best effort by design: the only failure is that the group ended first.
  }
}
