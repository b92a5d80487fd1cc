// Decides what the host's cron is to run for edge jobs: the cron file and the scripts, from the list of a poll.
// Pure. Expressions and scripts come over the network and end as lines that root's cron reads, so each is checked.

import type { ScheduleJob } from '../edge.ts';
import { faultOfExpression } from './cron-expression.ts';

/** Paths as the host sees them. */
export const cronFolder = '/etc/cron.d';
export const cronFileName = 'portainer_agent';
export const scriptFolder = '/opt/portainer/scripts';

export interface CronPlan {
  /** Undefined: no job can run, so there is no file. */
  readonly cronFile: string | undefined;
  readonly scripts: readonly { readonly name: string; readonly content: Buffer }[];
  /** Jobs that cannot run, with the reason. The others do. */
  readonly refused: readonly { readonly id: number; readonly reason: string }[];
}

/** The first line of every file of ours, and of the agent's that is replaced: by it a file is known as ours. */
const header =
  '## This file is managed by the Portainer agent. DO NOT EDIT MANUALLY ALL YOUR CHANGES WILL BE OVERWRITTEN.';
const environment = [
  'SHELL=/bin/sh',
  'PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin',
] as const;

/** Of one script, decoded. The whole poll is bounded too. */
const maxScriptBytes = 1024 * 1024;

/** The id is a plain number, so that the name cannot lead out of its folder. */
export function scriptName(id: number): string {
  return `schedule_${id}`;
}

export function logName(id: number): string {
  return `${scriptName(id)}.log`;
}

export function planCron(jobs: readonly ScheduleJob[]): CronPlan {
  const scripts: { name: string; content: Buffer }[] = [];
  const refused: { id: number; reason: string }[] = [];
  const lines: string[] = [];
  const seen = new Set<number>();
  for (const { id, cronExpression, script } of jobs) {
    const expression = cronExpression.trim();
    const content = decodeScript(script);
    const reason = seen.has(id) ? 'two jobs have this id' : reasonAgainst(id, expression, content);
    if (reason !== undefined || content === undefined) {
      refused.push({ id, reason: reason ?? 'the script is not base64' });
      continue;
    }
    seen.add(id);
    scripts.push({ name: scriptName(id), content });
    lines.push(toLine(id, expression));
  }
  const cronFile = lines.length === 0 ? undefined : `${[header, ...environment, '', ...lines].join('\n')}\n`;
  return { cronFile, scripts, refused };
}

export function isOurCronFile(text: string): boolean {
  return text.startsWith(`${header}\n`);
}

/** Ids of the jobs in a file of ours, this agent's or an earlier one's; none in any other file. */
export function jobsOfCronFile(text: string): readonly number[] {
  if (!isOurCronFile(text)) return [];
  const found = text.matchAll(/ root \/opt\/portainer\/scripts\/schedule_(\d{1,10}) > /g);
  return [...new Set([...found].map((match) => Number(match[1])))];
}

function toLine(id: number, expression: string): string {
  const script = `${scriptFolder}/${scriptName(id)}`;
  return `${expression} root ${script} > ${script}.log 2>&1`;
}

function reasonAgainst(id: number, expression: string, content: Buffer | undefined): string | undefined {
  if (!Number.isSafeInteger(id) || id < 0) return 'the id is not a number';
  const fault = faultOfExpression(expression);
  if (fault !== undefined) return fault;
  if (content === undefined) return 'the script is not base64';
  return content.length > maxScriptBytes ? `the script has over ${maxScriptBytes} bytes` : undefined;
}

/** Portainer writes it without padding; with padding it says the same. Node's decoder would skip what is not base64. */
function decodeScript(text: string): Buffer | undefined {
  const bare = text.replace(/={1,2}$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(bare) || bare.length % 4 === 1) return undefined;
  return Buffer.from(bare, 'base64');
}
