// Reads the body of a poll (protocol of Portainer's Edge status route).
// Pure. The body may be garbage of a proxy or hostile: it becomes one typed answer, or one clear error.

import { AgentError } from '../errors.ts';
import type { PollAnswer, ScheduleJob, StackJob } from './edge.ts';

/** Of one poll's list; Portainer's users have a handful. */
const maxJobs = 1_000;
const maxStacks = 1_000;
/** Some 60 characters in practice. */
const maxCredentialsChars = 1_024;
/** Longer than any cron expression, which people write by hand. */
const maxCronChars = 256;
/** An interval beyond this would make the agent look dead; Portainer's longest choice is a day. */
const maxCheckinMs = 24 * 3_600_000;
const minCheckinMs = 1_000;

type Fields = Readonly<Record<string, unknown>>;

/** Throws `protocol-violation`. Absent members have the meaning that Go's decoder gives them. */
export function parsePollAnswer(body: string): PollAnswer {
  const fields = toFields(parseJson(body), 'the answer');
  const status = fields.status;
  if (status !== 'IDLE' && status !== 'REQUIRED' && status !== 'ACTIVE') throw violation('status');
  const port = toCount(fields.port ?? 0, 'port', 65_535);
  const credentials = toText(fields.credentials ?? '', 'credentials', maxCredentialsChars);
  if (status === 'REQUIRED' && (port === 0 || credentials === ''))
    throw violation('port or credentials of the tunnel');
  return {
    status,
    port,
    credentials,
    checkinMs: toCheckinMs(fields.checkin ?? 0),
    schedules: toList(fields.schedules ?? [], 'schedules', maxJobs).map(toScheduleJob),
    stacks:
      fields.stacks === undefined || fields.stacks === null
        ? undefined
        : toList(fields.stacks, 'stacks', maxStacks).map(toStackJob),
  };
}

/** The id that Portainer found for a global key. Throws `protocol-violation`. */
export function parseGlobalKeyAnswer(body: string): number {
  const fields = toFields(parseJson(body), 'the answer');
  const id = toCount(fields.endpointid, 'endpointID', 2_147_483_647);
  if (id === 0) throw violation('endpointID');
  return id;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new AgentError('protocol-violation', 'parse poll answer: it is not JSON', { cause: error });
  }
}

function toScheduleJob(value: unknown): ScheduleJob {
  const fields = toFields(value, 'a schedule');
  return {
    id: toId(fields.id, 'id of a schedule'),
    cronExpression: toText(fields.cronexpression ?? '', 'cron expression', maxCronChars),
    script: toText(fields.script ?? '', 'script', Number.POSITIVE_INFINITY),
    version: toCount(fields.version ?? 0, 'version of a schedule', Number.MAX_SAFE_INTEGER),
    collectLogs: fields.collectlogs === true,
  };
}

function toStackJob(value: unknown): StackJob {
  const fields = toFields(value, 'a stack');
  return {
    id: toId(fields.id, 'id of a stack'),
    version: toCount(fields.version ?? 0, 'version of a stack', Number.MAX_SAFE_INTEGER),
  };
}

/** 0 and nothing keep the interval. */
function toCheckinMs(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw violation('checkin');
  return value <= 0 ? undefined : Math.min(Math.max(value * 1_000, minCheckinMs), maxCheckinMs);
}

/** Names in lower case: Go reads them in any case, and servers have written `Id` and `ID`. */
function toFields(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw violation(what);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]));
}

function toList(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw violation(what);
  if (value.length > max) throw violation(`${what} (more than ${max})`);
  return value;
}

function toId(value: unknown, what: string): number {
  return toCount(value, what, 2_147_483_647);
}

function toCount(value: unknown, what: string, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max)
    throw violation(what);
  return value;
}

function toText(value: unknown, what: string, maxChars: number): string {
  if (typeof value !== 'string' || value.length > maxChars) throw violation(what);
  return value;
}

function violation(what: string): AgentError {
  return new AgentError('protocol-violation', `parse poll answer: ${what} is missing or malformed`);
}
