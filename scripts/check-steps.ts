// The steps of `npm run check`, which are also the first steps of `npm test`: format, lint, types, dead code, tests.

import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './steps.ts';

const toolTimeoutMs = 120_000;
const mochaTimeoutMs = 420_000;
/** At full length one connection alone is used for over half an hour. */
const longMochaTimeoutMs = 2 * 3_600_000;
export const agentsAtTheEdge: string = 'agents at the edge';
export const keptConnections: string = 'kept connections';
const root = join(import.meta.dirname, '..');

/** Comes before all others: agents under test are started from it, as it is what ships, and starts in half the time. */
export const bundleStep: Step = {
  name: 'bundle (esbuild)',
  command: ['node', 'scripts/build.ts'],
  timeoutMs: toolTimeoutMs,
};

/** What a run of mocha is told of it. */
export const bundleEnv: Readonly<Record<string, string>> = {
  FLOTILLA_TEST_BUNDLE: join(root, 'dist', 'flotilla.mjs'),
};

/** Slowest first, so that a few at a time end together. */
export function checkSteps(env: Readonly<Record<string, string>> = {}): readonly Step[] {
  const steps: (Step | undefined)[] = [
    mochaStep('conformance', env, ['test/conformance/**/*.test.ts']),
    mochaStep('unit tests of src/[a-d]*', env, ['src/[a-d]*/**/*.test.ts']),
    mochaStep('unit tests of the rest', env, [
      'src/*.test.ts',
      'src/[!a-d]*/**/*.test.ts',
      'test/*.test.ts',
      'scripts/*.test.ts',
    ]),
    { name: 'types (tsc)', command: ['tsc', '-p', '.'], timeoutMs: toolTimeoutMs },
    {
      name: 'promises (oxlint)',
      command: ['oxlint', '--type-aware', '--deny-warnings'],
      timeoutMs: toolTimeoutMs,
    },
    {
      name: 'format and lint (biome)',
      command: ['biome', 'check', '--error-on-warnings', '.'],
      timeoutMs: toolTimeoutMs,
    },
    { name: 'dead code (knip)', command: ['knip', '--no-progress'], timeoutMs: toolTimeoutMs },
  ];
  return steps.filter((step) => step !== undefined);
}

/** Several agents together, attacks and models: not in `npm run check`, which is to stay short. */
export function furtherSteps(env: Readonly<Record<string, string>> = {}): readonly Step[] {
  const steps = [
    mochaStep('agents together', env, ['test/agents/{[!ek],e[!d]}*.test.ts']),
    mochaStep(keptConnections, env, ['test/agents/kept-connections.test.ts']),
    mochaStep(agentsAtTheEdge, env, ['test/agents/edge-*.test.ts']),
    mochaStep('security', env, ['test/security/**/*.test.ts']),
  ];
  return steps.filter((step) => step !== undefined);
}

function isLong({ FLOTILLA_TEST_LONG: long }: Readonly<Record<string, string>>): boolean {
  return long === '1';
}

/** A mocha run over the patterns that match something; undefined where none does. */
function mochaStep(
  name: string,
  env: Readonly<Record<string, string>>,
  patterns: readonly string[],
): Step | undefined {
  const existing = patterns.filter((pattern) => globSync(pattern, { cwd: root }).length > 0);
  if (existing.length === 0) return undefined;
  const timeoutMs = isLong(env) ? longMochaTimeoutMs : mochaTimeoutMs;
  return {
    name,
    command: ['mocha', ...existing],
    timeoutMs,
    mocha: true,
    env: { ...bundleEnv, ...env },
  };
}
