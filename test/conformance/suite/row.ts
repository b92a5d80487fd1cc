// A row of the server's checklist: what is expected, what it takes to find out, and how a run of many is carried out and
// shown. Pure but for the rows themselves.

import type { Abilities, Bench } from './bench.ts';

export type Need = keyof Abilities | 'swarm' | 'secret' | 'no-secret';

export interface Row {
  /** As in the checklist; `+` marks the deliberate improvement beside a row. */
  readonly id: string;
  readonly what: string;
  /** What the agent that is replaced does instead. Only where ours differs on purpose. */
  readonly insteadOf?: string;
  readonly needs?: readonly Need[];
  /** Mostly waits, so it runs beside the others. */
  readonly waits?: true;
  /** Default: 60 s. */
  readonly timeoutMs?: number;
  readonly run: (bench: Bench) => Promise<void>;
}

export type Outcome =
  | { readonly kind: 'pass' }
  | { readonly kind: 'fail'; readonly why: string }
  | { readonly kind: 'not-run'; readonly missing: readonly Need[] };

export interface RowResult {
  readonly row: Row;
  readonly outcome: Outcome;
  readonly tookMs: number;
}

export interface Choice {
  readonly chosen: readonly Row[];
  /** Asked for, and no row's id. */
  readonly unknown: readonly string[];
}

const defaultTimeoutMs = 60_000;

/** `only` is a list of ids with commas between them; without it all rows are chosen. */
export function chooseRows(rows: readonly Row[], only: string | undefined): Choice {
  if (only === undefined) return { chosen: rows, unknown: [] };
  const wanted = only.split(',').map((id) => id.trim());
  return {
    chosen: rows.filter(({ id }) => wanted.includes(id)),
    unknown: wanted.filter((id) => rows.every((row) => row.id !== id)).map((id) => id || '(empty)'),
  };
}

/** Never rejects: a failure is an outcome. */
export async function runRow(row: Row, bench: Bench): Promise<RowResult> {
  const missing = (row.needs ?? []).filter((need) => !has(bench, need));
  if (missing.length > 0) return { row, outcome: { kind: 'not-run', missing }, tookMs: 0 };
  const startedMs = performance.now();
  const outcome = await Promise.race([attempt(row, bench), expiry(row)]);
  return { row, outcome, tookMs: performance.now() - startedMs };
}

/** The rows that only wait are begun first; the others follow one after the other. */
export async function runRows(
  rows: readonly Row[],
  bench: Bench,
  onResult: (result: RowResult) => void,
): Promise<readonly RowResult[]> {
  const results = new Map<Row, RowResult>();
  const run = async (row: Row): Promise<void> => {
    const result = await runRow(row, bench);
    results.set(row, result);
    onResult(result);
  };
  const waiting = rows.filter(({ waits }) => waits === true).map(run);
  for (const row of rows) if (row.waits !== true) await run(row);
  await Promise.all(waiting);
  return rows.flatMap((row) => results.get(row) ?? []);
}

/** 1 where a row failed, and where none was run at all: that says nothing of the agent. */
export function exitCodeOf(results: readonly RowResult[]): 0 | 1 {
  return results.some(isFault) || results.every(({ outcome }) => outcome.kind === 'not-run') ? 1 : 0;
}

/** An improvement that is not there is no fault: the agent then does what the original does. */
function isFault({ row, outcome }: RowResult): boolean {
  return outcome.kind === 'fail' && row.insteadOf === undefined;
}

export function formatTable(results: readonly RowResult[]): string {
  const cells = results.map(({ row, outcome, tookMs }) => [
    row.id,
    row.what,
    resultOf(row, outcome),
    outcome.kind === 'not-run' ? '' : `${(tookMs / 1_000).toFixed(1)} s`,
  ]);
  const all = [['row', 'what', 'result', 'took'], ...cells];
  const widths = [0, 1, 2, 3].map((at) => Math.max(...all.map((line) => line[at]?.length ?? 0)));
  const lines = all.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const why = results.flatMap(({ row, outcome }) =>
    outcome.kind === 'fail' ? [`\n${row.id}: ${outcome.why}`] : [],
  );
  return `${[...lines, ...why].join('\n')}\n`;
}

function resultOf({ insteadOf }: Row, outcome: Outcome): string {
  switch (outcome.kind) {
    case 'pass':
      return insteadOf === undefined ? 'pass' : `improvement (the original: ${insteadOf})`;
    case 'fail':
      return insteadOf === undefined ? 'FAIL' : `not improved (the original: ${insteadOf})`;
    case 'not-run':
      return `not run: needs ${outcome.missing.map((need) => needNames[need]).join(', ')}`;
  }
}

const needNames: Readonly<Record<Need, string>> = {
  swarm: 'a cluster',
  secret: '--secret',
  'no-secret': 'an agent without a secret',
  fresh: 'a second agent',
  kill: 'power over the agents',
  restart: 'power over the agents',
  promote: 'a manager of the Swarm',
  demote: 'a manager of the Swarm',
  residentBytes: 'the process',
  docker: 'a docker CLI',
  hub: 'a registry of its own',
};

function has({ swarm, secret, abilities }: Bench, need: Need): boolean {
  if (need === 'swarm') return swarm !== undefined && swarm.others.length > 0;
  if (need === 'secret') return secret !== undefined;
  if (need === 'no-secret') return secret === undefined;
  return abilities[need] !== undefined;
}

async function attempt(row: Row, bench: Bench): Promise<Outcome> {
  try {
    await row.run(bench);
    return { kind: 'pass' };
  } catch (error) {
    return { kind: 'fail', why: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function expiry({ timeoutMs = defaultTimeoutMs }: Row): Promise<Outcome> {
  return new Promise((resolve) => {
    const timer = setTimeout(
      () => resolve({ kind: 'fail', why: `no end within ${timeoutMs / 1_000} s` }),
      timeoutMs,
    );
    timer.unref();
  });
}
