// Reads what the docker CLI lists of a stack's containers, services and tasks, and says how the stack is.
// Pure. One line each, parts separated by tabs, in the formats that are given here too.

import type { Observed } from './stack-plan.ts';

export const containerFormat = '{{.Names}}\t{{.State}}\t{{.Status}}';
export const serviceFormat = '{{.Name}}\t{{.Replicas}}';
export const taskFormat = '{{.Name}}\t{{.CurrentState}}\t{{.Error}}';

/** Of a compose project: `docker ps --all` with `containerFormat`. */
export function observeContainers(text: string): Observed {
  const containers = toRows(text).map(([name = '', state = '', status = '']) => ({
    name,
    state,
    // `Exited (1) 3 seconds ago`
    code: Number(/\((\d+)\)/.exec(status)?.[1] ?? 0),
  }));
  if (containers.length === 0) return { kind: 'none' };
  const ended = containers.filter(({ state }) => state === 'exited' || state === 'dead');
  const bad = ended.find(({ code }) => code !== 0);
  if (bad !== undefined)
    return { kind: 'failed', reason: `service ${bad.name} exited with code ${bad.code}` };
  if (containers.some(({ state }) => ['created', 'restarting', 'paused'].includes(state)))
    return { kind: 'starting' };
  if (containers.some(({ state }) => state === 'removing')) return { kind: 'removing' };
  return { kind: ended.length === containers.length ? 'completed' : 'running' };
}

export interface ServiceRow {
  readonly name: string;
  readonly state: 'running' | 'completed' | 'waiting';
}

/** `docker stack services` with `serviceFormat`: `2/3`, `1/1 (max 1 per node)`, `0/1 (1/1 completed)`. */
export function toServices(text: string): readonly ServiceRow[] {
  return toRows(text).map(([name = '', replicas = '']) => {
    const done = /\((\d+)\/(\d+) completed\)/.exec(replicas);
    const counts = /^(\d+)\/(\d+)/.exec(replicas);
    if (done !== null) return { name, state: done[1] === done[2] ? 'completed' : 'waiting' };
    return { name, state: counts !== null && counts[1] === counts[2] ? 'running' : 'waiting' };
  });
}

/** Undefined: the tasks of those that wait have to be looked at. */
export function observeServices(services: readonly ServiceRow[]): Observed | undefined {
  if (services.length === 0) return { kind: 'none' };
  if (services.some(({ state }) => state === 'waiting')) return undefined;
  return { kind: services.every(({ state }) => state === 'completed') ? 'completed' : 'running' };
}

/** `docker service ps` of one service with `taskFormat`: the newest task of each slot comes first. */
export function observeTasks(text: string): Observed {
  const [newest] = toRows(text);
  const [, state = '', error = ''] = newest ?? [];
  if (!/^(?:failed|rejected)\b/i.test(state)) return { kind: 'starting' };
  return { kind: 'failed', reason: error === '' ? 'a task failed' : error };
}

function toRows(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line.includes('\t'))
    .map((line) => line.split('\t'));
}
