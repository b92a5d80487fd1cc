// Makes the stacks of this environment as Portainer lists them: fetched, deployed, watched until they run, removed.
// Each step is kept before the next begins, so that after a restart an unchanged stack is left alone.

import { AgentError, reasonOf } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Portainer, StackJob, StackKeeper } from '../edge.ts';
import { throwFailures } from '../failures.ts';
import type { EdgeClock } from '../poller.ts';
import { findHeirs, type Heirs, isForHeir } from './heirs.ts';
import { openStackBook, type StackBook } from './stack-book.ts';
import { parseStackFiles, type StackFiles } from './stack-file.ts';
import {
  afterLook,
  afterStart,
  isAtRest,
  isAwaited,
  isNameTaken,
  type Observed,
  planStacks,
  type StackMode,
  type StackMoment,
  type StackRecord,
  withReport,
} from './stack-plan.ts';
import type { Deployment, StackRunner } from './stack-runner.ts';
import { statuses } from './stack-status.ts';
import { createStackStore, isSameOwner, type StackStore } from './stack-store.ts';

export interface StackKeeperNeeds {
  readonly runner: StackRunner;
  /** How a new stack is run here: `swarm` on a manager. */
  readonly mode: () => StackMode;
  readonly clock: EdgeClock;
  readonly log: Logger;
}

/** Base64 of a Git repository's configuration. */
const maxStackAnswerBytes = 32 * 1024 * 1024;
const fetchTimeoutMs = 120_000;
const lookIntervalMs = 1_000;
/** How often a stack that runs is looked at: it may have completed. */
const restIntervalMs = 60_000;

/** One call of `apply`. */
interface Round {
  readonly book: StackBook;
  readonly portainer: Portainer;
  readonly signal: AbortSignal;
  /** Not all could be done: the next poll tries again. */
  readonly failures: unknown[];
  /** Once it did not take a report, the next round is soon enough. */
  portainerAway: boolean;
}

type Parts = StackKeeperNeeds & { readonly store: StackStore; readonly lastLookMs: Map<number, number> };

export function createStackKeeper(
  needs: StackKeeperNeeds,
  options: { readonly dataPath: string },
): StackKeeper {
  const store = createStackStore(options.dataPath, needs.log);
  const parts: Parts = { ...needs, store, lastLookMs: new Map() };
  let book: StackBook | undefined;
  return {
    async apply(wanted, portainer, signal): Promise<void> {
      const { url, environmentId } = portainer;
      const owner = { url, environmentId };
      if (book === undefined || !isSameOwner(book.owner, owner))
        book = await openStackBook({ store, log: needs.log }, owner, (kept) =>
          afterStart(kept, needs.clock.monotonicMs()),
        );
      const round: Round = { book, portainer, signal, failures: [], portainerAway: false };
      await deliver(round);
      await followList(parts, round, wanted);
      await watch(parts, round);
      await deliver(round);
      throwFailures(round.failures);
    },
  };
}

async function followList(parts: Parts, round: Round, wanted: readonly StackJob[]): Promise<void> {
  const { book, signal } = round;
  const { leaving, coming } = planStacks(wanted, book.records());
  const heirs = await findHeirs(
    leaving,
    coming.map(({ job }) => job),
    (job) => fetchStack(round, job),
    signal,
  );
  round.failures.push(...heirs.failures);
  const removeAll = async (records: readonly StackRecord[]): Promise<void> => {
    for (const record of records) await attempt(round, () => remove(parts, round, record));
  };
  await removeAll(leaving.filter((record) => !isForHeir(record, heirs)));
  // Waited for before anything takes their names, networks or ports.
  if (leaving.length > 0) await watch(parts, round);
  for (const { job, record } of coming)
    await attempt(round, () => deploy(parts, round, { job, before: record, heirs }));
  // The rest waits for the next poll: its heir could not be deployed.
  const inherited = planStacks(wanted, book.records()).leaving.filter((record) => isForHeir(record, heirs));
  await removeAll(inherited.filter((record) => isNameTaken(record, book.records())));
}

async function attempt({ signal, failures }: Round, work: () => Promise<void>): Promise<void> {
  signal.throwIfAborted();
  try {
    await work();
  } catch (error) {
    if (signal.aborted) throw error;
    failures.push(error);
  }
}

/** Kept, then told. */
async function note(round: Round, record: StackRecord): Promise<void> {
  await round.book.put(record);
  await deliver(round);
}

async function deliver(round: Round): Promise<void> {
  if (round.portainerAway) return;
  try {
    await round.book.deliver(round.portainer, round.signal);
  } catch (error) {
    if (round.signal.aborted) throw error;
    round.portainerAway = true;
    round.failures.push(error);
  }
}

async function remove({ runner, clock, log }: Parts, round: Round, record: StackRecord): Promise<void> {
  const at = momentOf(clock);
  const told = withReport({ ...record, phase: 'removing', sinceMs: at.nowMs }, statuses.removing, '', at);
  if (record.project === '' || isNameTaken(record, round.book.records())) {
    await note(round, withReport({ ...told, phase: 'removed' }, statuses.removed, '', at));
    return;
  }
  await runner.remove(record, round.signal);
  log.info('stack removed', { stack: record.id, project: record.project });
  await note(round, told);
}

interface Arrival {
  readonly job: StackJob;
  readonly before: StackRecord | undefined;
  readonly heirs: Heirs;
}

async function deploy(parts: Parts, round: Round, { job, before, heirs }: Arrival): Promise<void> {
  const { clock, log, store, runner } = parts;
  const body = await fetchStack(round, job);
  // What was not told of the version before is told first.
  const reports = before?.reports ?? [];
  const mode = parts.mode();
  const plain = {
    id: job.id,
    version: job.version,
    mode,
    phase: 'deploying',
    sinceMs: clock.monotonicMs(),
  } as const;
  let files: StackFiles;
  try {
    files = parseStackFiles(body);
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'protocol-violation') throw error;
    log.warn('stack not understood', { stack: job.id, reason: reasonOf(error) });
    const { project = '' } = before ?? {};
    await note(round, failed({ ...plain, project, reports }, reasonOf(error), momentOf(clock)));
    return;
  }
  const { project } = files;
  if (before !== undefined && before.project !== '' && before.project !== project)
    await runner.remove(before, round.signal);
  const place = await store.writeFiles(job.id, files);
  await note(round, withReport({ ...plain, project, reports }, statuses.acknowledged, '', momentOf(clock)));
  const prune = mode === 'swarm' && heirs.projects.has(project);
  const deployment: Deployment = { ...place, project, mode, variables: files.variables, prune };
  await bringUp(parts, round, job.id, deployment, files.pull);
}

async function fetchStack({ portainer, signal }: Round, { id, version }: StackJob): Promise<string> {
  const { status, body } = await portainer.send(
    {
      method: 'GET',
      path: `/api/endpoints/${portainer.environmentId}/edge/stacks/${id}?version=${version}`,
      timeoutMs: fetchTimeoutMs,
      maxAnswerBytes: maxStackAnswerBytes,
    },
    signal,
  );
  if (status !== 200) throw new AgentError('unavailable', `fetch stack ${id}: status ${status}`);
  return body;
}

/** The documented order: received files, pulled images, deploying, deployed; whatever fails is the last. */
async function bringUp(
  { runner, clock, log }: Parts,
  round: Round,
  id: number,
  deployment: Deployment,
  pull: boolean,
): Promise<void> {
  const { signal, book } = round;
  const report = async (status: number, changes: Partial<StackRecord> = {}): Promise<void> => {
    const record = book.get(id);
    if (record !== undefined)
      await note(round, withReport({ ...record, ...changes }, status, '', momentOf(clock)));
  };
  let attempted = 'failed to validate stack';
  try {
    await runner.validate(deployment, signal);
    if (pull) {
      attempted = 'failed to pull image';
      await runner.pull(deployment, signal);
      await report(statuses.imagesPulled);
    }
    attempted = 'failed to redeploy stack';
    await report(statuses.deploying);
    await runner.deploy(deployment, signal);
  } catch (error) {
    const record = book.get(id);
    if (signal.aborted || record === undefined) throw error;
    const reason = `${attempted}: ${reasonOf(error)}`;
    log.warn('stack not deployed', { stack: id, project: deployment.project, reason });
    await note(round, failed(record, reason, momentOf(clock)));
    return;
  }
  log.info('stack deployed', { stack: id, project: deployment.project });
  await report(statuses.deploymentReceived, { phase: 'starting', sinceMs: clock.monotonicMs() });
}

function failed(record: StackRecord, reason: string, at: StackMoment): StackRecord {
  return withReport({ ...record, phase: 'failed', sinceMs: at.nowMs }, statuses.error, reason, at);
}

function momentOf(clock: EdgeClock): StackMoment {
  return { nowMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

/** Looks each second while something is on its way, and once otherwise. */
async function watch(parts: Parts, round: Round): Promise<void> {
  const { clock } = parts;
  const { book, failures, signal } = round;
  const failuresBefore = failures.length;
  for (;;) {
    for (const record of book.records())
      if (isDue(parts, record)) await attempt(round, () => look(parts, round, record));
    const isDone = !book.records().some((record) => isAwaited(record, clock.monotonicMs()));
    // An engine that does not answer is asked again after the next poll.
    if (isDone || failures.length > failuresBefore) return;
    await pause(clock, lookIntervalMs, signal);
  }
}

function isDue({ clock, lastLookMs }: Parts, record: StackRecord): boolean {
  if (isAtRest(record)) return false;
  if (isAwaited(record, clock.monotonicMs())) return true;
  return clock.monotonicMs() - (lastLookMs.get(record.id) ?? -restIntervalMs) >= restIntervalMs;
}

async function look({ runner, clock, lastLookMs }: Parts, round: Round, record: StackRecord): Promise<void> {
  lastLookMs.set(record.id, clock.monotonicMs());
  // What runs under a name that was given on is another stack's.
  const isGone = record.phase === 'removing' && isNameTaken(record, round.book.records());
  const observed: Observed = isGone ? { kind: 'none' } : await runner.observe(record, round.signal);
  const current = round.book.get(record.id) ?? record;
  const next = afterLook(current, observed, momentOf(clock));
  if (next !== current) await note(round, next);
}

async function pause(clock: EdgeClock, delayMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<void>();
  const onAbort = (): void => resolve();
  const cancel = clock.after(delayMs, resolve);
  signal.addEventListener('abort', onAbort, { once: true });
  await promise;
  signal.removeEventListener('abort', onAbort);
  cancel();
  signal.throwIfAborted();
}
