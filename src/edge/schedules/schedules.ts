// Keeps the host's cron as Portainer's edge jobs say, through the host's own files: the host's cron daemon runs them.
// What is on disk is compared with what is wanted, so that a restart neither forgets a job nor leaves a removed one.

import type { FileHandle } from 'node:fs/promises';
import { AgentError, toAgentError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Portainer, ScheduleJob, ScheduleKeeper } from '../edge.ts';
import { throwFailures } from '../failures.ts';
import {
  type CronPlan,
  cronFileName,
  cronFolder,
  isOurCronFile,
  jobsOfCronFile,
  logName,
  planCron,
  scriptFolder,
  scriptName,
} from './cron-file.ts';
import { type OpenHostFolder, readEnd, removeFile, writeWhole } from './host-files.ts';

export interface ScheduleKeeperNeeds {
  readonly openHostFolder: OpenHostFolder;
  readonly log: Logger;
}

/** A file that we write ourselves: a line of some hundred bytes for each job. */
const maxCronFileBytes = 1024 * 1024;
/**
 * The end of a longer log is sent: a job that failed says so there. The shorter ones follow where a proxy does not take
 * that much; many take 1 MiB, of which JSON needs a part.
 */
const logTailBytes = [4 * 1024 * 1024, 512 * 1024, 64 * 1024] as const;
const tooLarge = 413;
const uploadTimeoutMs = 60_000;

export function createScheduleKeeper({ openHostFolder, log }: ScheduleKeeperNeeds): ScheduleKeeper {
  /** The list that the host is known to follow. */
  let followed: string | undefined;

  const follow = async (jobs: readonly ScheduleJob[]): Promise<void> => {
    const list = JSON.stringify(
      jobs.map(({ id, cronExpression, script, version }) => [id, cronExpression, script, version]),
    );
    if (list === followed) return;
    const plan = planCron(jobs);
    for (const { id, reason } of plan.refused) log.warn('edge job refused', { job: id, reason });
    await makeSo(openHostFolder, plan, new Set(jobs.map(({ id }) => id)), log);
    followed = list;
  };

  return {
    async apply(jobs, portainer, signal): Promise<void> {
      signal.throwIfAborted();
      try {
        await follow(jobs);
      } catch (error) {
        throw toAgentError(error, 'unavailable', `write edge jobs into ${cronFolder} of the host`);
      }
      const failures: unknown[] = [];
      for (const { id, collectLogs } of jobs)
        if (collectLogs)
          await upload(openHostFolder, id, portainer, signal).catch((error: unknown) => {
            signal.throwIfAborted();
            // The others' logs are wanted all the same.
            failures.push(error);
          });
      throwFailures(failures);
    },
  };
}

/** Scripts before the file that names them, and the file before scripts that it named are removed. */
async function makeSo(
  openHostFolder: OpenHostFolder,
  plan: CronPlan,
  listed: ReadonlySet<number>,
  log: Logger,
): Promise<void> {
  const missing = plan.cronFile === undefined ? 'left' : 'made';
  await using cron = await openHostFolder(cronFolder, missing);
  await using scripts = await openHostFolder(scriptFolder, missing);
  const present = cron && (await readEnd(cron, cronFileName, maxCronFileBytes))?.toString('utf8');
  if (scripts !== undefined) await writeScripts(scripts, plan);
  if (cron !== undefined) await writeCronFile(cron, plan, present);
  const gone = jobsOfCronFile(present ?? '').filter((id) => !listed.has(id));
  if (scripts !== undefined) for (const id of gone) await removeJob(scripts, id);
  if (plan.cronFile !== present)
    log.info('edge jobs written', { jobs: plan.scripts.length, removed: gone.length });
}

async function writeScripts(folder: FileHandle, { scripts }: CronPlan): Promise<void> {
  for (const { name, content } of scripts) {
    const present = await readEnd(folder, name, content.length + 1);
    if (present?.equals(content) !== true) await writeWhole(folder, name, content, 0o744);
  }
}

async function writeCronFile(
  folder: FileHandle,
  { cronFile }: CronPlan,
  present: string | undefined,
): Promise<void> {
  if (cronFile === present) return;
  if (cronFile !== undefined) await writeWhole(folder, cronFileName, cronFile, 0o644);
  // One that somebody else wrote is not ours to remove, whatever its name.
  else if (present !== undefined && isOurCronFile(present)) await removeFile(folder, cronFileName);
}

async function removeJob(folder: FileHandle, id: number): Promise<void> {
  await removeFile(folder, scriptName(id));
  await removeFile(folder, logName(id));
}

/** A failed one is tried again by the next poll, which says again that the log is wanted. */
async function upload(
  openHostFolder: OpenHostFolder,
  id: number,
  portainer: Portainer,
  signal: AbortSignal,
): Promise<void> {
  await using folder = await openHostFolder(scriptFolder, 'left');
  let status = 0;
  for (const bytes of logTailBytes) {
    const tail = folder && (await readEnd(folder, logName(id), bytes));
    status = await sendLog(id, tail?.toString('utf8') ?? '', portainer, signal);
    if (status !== tooLarge || (tail?.length ?? 0) < bytes) break;
  }
  if (status !== 200)
    throw new AgentError('unavailable', `upload the log of edge job ${id}: status ${status}`);
}

async function sendLog(id: number, text: string, portainer: Portainer, signal: AbortSignal): Promise<number> {
  const { status } = await portainer.send(
    {
      method: 'POST',
      path: `/api/endpoints/${portainer.environmentId}/edge/jobs/${id}/logs`,
      json: { FileContent: text },
      timeoutMs: uploadTimeoutMs,
    },
    signal,
  );
  return status;
}
