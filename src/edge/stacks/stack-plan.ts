// Decides what a list of wanted stacks means for those that are known, and what is reported of what was seen.
// Pure: times are values. What is waited for is measured on the monotonic clock, which no correction of the time moves.
// Nothing is decided from a poll that failed, because such a poll has no list.

import type { StackJob } from '../edge.ts';
import { type Report, statuses } from './stack-status.ts';

/** How a stack is run; kept, so that it is removed the way it was made. */
export type StackMode = 'compose' | 'swarm';

export type StackPhase =
  /** Fetched. Found at a start, it was interrupted and is done again. */
  | 'deploying'
  /** Deployed; whether it runs is not seen yet. */
  | 'starting'
  /** Reported as not running in time; it may still come. */
  | 'late'
  | 'running'
  /** All of it ended well. */
  | 'completed'
  /** Reported; nothing happens before another version, or another start of the agent. */
  | 'failed'
  /** Told to go; something of it is still there. */
  | 'removing'
  /** Gone; kept until that is reported. */
  | 'removed';

/** What is known of one stack, over restarts. */
export interface KeptStack {
  readonly id: number;
  readonly version: number;
  /** Empty when its files could not be read: then nothing of it runs. */
  readonly project: string;
  readonly mode: StackMode;
  readonly phase: StackPhase;
  /** Not delivered yet, oldest first. */
  readonly reports: readonly Report[];
}

export interface StackRecord extends KeptStack {
  /** Monotonic, of this process: the phase's begin, or the agent's start where that came later. */
  readonly sinceMs: number;
}

/** When something is seen or done. */
export interface StackMoment {
  /** Monotonic. */
  readonly nowMs: number;
  /** For people only. */
  readonly wallMs: number;
}

export interface StackSteps {
  /** To be removed. */
  readonly leaving: readonly StackRecord[];
  /** To be deployed, with what is known of them. */
  readonly coming: readonly { readonly job: StackJob; readonly record: StackRecord | undefined }[];
}

/** As long as the original waits for a stack to run, or to be gone. */
export const settleWithinMs = 60_000;

export function planStacks(wanted: readonly StackJob[], records: readonly StackRecord[]): StackSteps {
  const known = new Map(records.map((record) => [record.id, record]));
  const jobs = [...new Map(wanted.map((job) => [job.id, job])).values()];
  const listed = new Set(jobs.map(({ id }) => id));
  return {
    leaving: records.filter(
      ({ id, phase }) => !listed.has(id) && phase !== 'removing' && phase !== 'removed',
    ),
    coming: jobs
      .filter((job) => isToDeploy(job, known.get(job.id)))
      .map((job) => ({ job, record: known.get(job.id) })),
  };
}

function isToDeploy(job: StackJob, record: StackRecord | undefined): boolean {
  if (record === undefined || record.version !== job.version) return true;
  // Wanted again while it was on its way out, or cut off on its way in.
  return ['deploying', 'removing', 'removed'].includes(record.phase);
}

/** At a start of the agent: what failed may have failed for a reason that the restart took away. */
export function afterStart(kept: KeptStack, nowMs: number): StackRecord {
  return { ...kept, phase: kept.phase === 'failed' ? 'deploying' : kept.phase, sinceMs: nowMs };
}

/** Waited for now, rather than looked at now and then. */
export function isAwaited({ phase, sinceMs }: StackRecord, nowMs: number): boolean {
  return phase === 'starting' || (phase === 'removing' && nowMs - sinceMs < settleWithinMs);
}

/** Nothing more will happen to it by itself. */
export function isAtRest({ phase }: StackRecord): boolean {
  return phase === 'completed' || phase === 'failed' || phase === 'deploying' || phase === 'removed';
}

/** Whether another stack has its name by now: then what runs under that name is the other one's. */
export function isNameTaken(record: StackRecord, records: readonly StackRecord[]): boolean {
  return records.some(
    ({ id, project, phase }) =>
      id !== record.id && project === record.project && phase !== 'removing' && phase !== 'removed',
  );
}

/** What the engine shows of a stack. */
export type Observed =
  | { readonly kind: 'none' | 'starting' | 'running' | 'removing' | 'completed' }
  | { readonly kind: 'failed'; readonly reason: string };

/** The record after a look at the engine; the same one when nothing is to be kept or reported. */
export function afterLook(record: StackRecord, observed: Observed, at: StackMoment): StackRecord {
  const move = (phase: StackPhase, status?: number, error = ''): StackRecord => {
    const moved = { ...record, phase, sinceMs: at.nowMs };
    return status === undefined ? moved : withReport(moved, status, error, at);
  };
  const waitedTooLong = at.nowMs - record.sinceMs >= settleWithinMs;
  switch (record.phase) {
    case 'removing':
      return observed.kind === 'none' ? move('removed', statuses.removed) : record;
    case 'starting':
    case 'late':
    case 'running':
      if (observed.kind === 'completed') return move('completed', statuses.completed);
      if (record.phase === 'running') return record;
      if (observed.kind === 'running') return move('running', statuses.running);
      if (record.phase === 'late') return record;
      if (observed.kind === 'failed') return move('failed', statuses.error, observed.reason);
      return waitedTooLong ? move('late', statuses.error, notInTime) : record;
    case 'deploying':
    case 'completed':
    case 'failed':
    case 'removed':
      return record;
  }
}

/** In the words of the original, which people search for. */
const notInTime = 'failed to wait for status: context deadline exceeded';

/** A server that is away for weeks makes no list without end; the newest say how it stands. */
const maxReports = 32;

export function withReport(
  record: StackRecord,
  status: number,
  error: string,
  { wallMs }: StackMoment,
): StackRecord {
  const report = { status, error, timeSeconds: Math.floor(wallMs / 1_000) };
  return { ...record, reports: [...record.reports, report].slice(-maxReports) };
}
