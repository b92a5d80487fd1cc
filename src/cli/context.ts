// `flotilla context create|list|rm`: Docker contexts for the whole cluster and for each node, by the docker CLI that is
// installed here.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListedNode } from '../api/nodes.ts';
import { hostSocketDir } from '../api/sockets-place.ts';
import { reasonOf } from '../errors.ts';
import {
  type ContextState,
  checkPrefix,
  faultOfSshPath,
  type KnownContext,
  type PlannedContext,
  parseSshHost,
  planContexts,
  type SshHost,
  stateOf,
  toRemove,
  toSocketNames,
} from './context-plan.ts';
import { createDockerContexts, type DockerContexts, listOverSsh } from './docker-context.ts';
import { readReport } from './nodes.ts';
import { formatTable } from './table.ts';
import { fromEnvironment, parseWords, type Words } from './words.ts';

const defaultPrefix = 'flotilla';

export async function runContext(argv: readonly string[]): Promise<number> {
  const words = parseWords('context', argv);
  const prefix = checkPrefix(words.value('prefix') ?? defaultPrefix);
  const docker = createDockerContexts(words.value('docker') ?? 'docker');
  if (words.verb === 'rm') return remove(docker, prefix, words.json);

  const host = words.value('host');
  const target = host === undefined ? undefined : parseSshHost(host);
  const sockets = trimSlash(
    words.value('sockets') ?? (fromEnvironment('FLOTILLA_SOCKET_DIR') || hostSocketDir),
  );
  if (target !== undefined) {
    const fault = faultOfSshPath(await docker.version(), target, sockets);
    if (fault !== undefined) {
      process.stderr.write(`flotilla context: ${fault}\n`);
      return 1;
    }
  }
  const found = await findNodes(words, target, sockets);
  if (found.note !== undefined) process.stderr.write(`flotilla context: ${found.note}\n`);
  const plan = planContexts({ prefix, host: target, sockets, nodes: found.nodes });
  const known = await docker.list();
  if (words.verb === 'list') return list(plan, known, words.json);
  return create(docker, plan, known, words.json);
}

interface FoundNodes {
  readonly nodes: readonly string[];
  /** What the user should know about how they were found. */
  readonly note?: string;
}

async function findNodes(words: Words, host: SshHost | undefined, sockets: string): Promise<FoundNodes> {
  const given = words.values('node');
  if (given.length > 0) return { nodes: given };
  return host === undefined ? findHere(words.socketPath, sockets) : findThere(host, sockets);
}

/** From the agent; without one, the sockets that exist. */
async function findHere(socketPath: string, sockets: string): Promise<FoundNodes> {
  const existing = await readdir(join(sockets, 'nodes')).then(toSocketNames, () => undefined);
  try {
    const { nodes } = await readReport(socketPath);
    const alive = nodes.filter(({ state }) => state === 'alive' || state === 'suspect');
    return matchSockets(alive, existing);
  } catch (error) {
    const why = reasonOf(error).split('\n')[0];
    if (existing === undefined) {
      return {
        nodes: [],
        note: `${why}; nor are there sockets in ${sockets}: only the context of the cluster`,
      };
    }
    return { nodes: existing, note: `${why}; the nodes are those with a socket in ${sockets}/nodes` };
  }
}

/** Pure. A socket has the node's name, or its id where the name cannot be a file's. Unknown sockets: by name. */
export function matchSockets(
  nodes: readonly Pick<ListedNode, 'name' | 'id'>[],
  existing: readonly string[] | undefined,
): FoundNodes {
  if (existing === undefined) return { nodes: nodes.map(({ name }) => name) };
  const found = nodes.map(({ name, id }) => [name, id].find((one) => existing.includes(one)));
  const without = nodes.filter((_node, index) => found[index] === undefined).map(({ name }) => name);
  const names = found.filter((name) => name !== undefined);
  if (without.length === 0) return { nodes: names };
  return {
    nodes: names,
    note: `no socket, so no context: ${without.join(', ')} (is there a cluster secret?)`,
  };
}

async function findThere(host: SshHost, sockets: string): Promise<FoundNodes> {
  try {
    return { nodes: toSocketNames(await listOverSsh(host, `${sockets}/nodes`)) };
  } catch (error) {
    const note = `${reasonOf(error)}; only the context of the cluster (--node <name> names nodes without asking)`;
    return { nodes: [], note };
  }
}

function list(plan: readonly PlannedContext[], known: readonly KnownContext[], json: boolean): number {
  const rows = plan.map((context) => ({ ...context, state: stateOf(context, known) }));
  process.stdout.write(
    json
      ? `${JSON.stringify(rows)}\n`
      : formatTable(
          ['NAME', 'DOCKER ENDPOINT', 'STATE'],
          rows.map(({ name, endpoint, state }) => [name, endpoint, state]),
        ),
  );
  return 0;
}

const doneWords: Readonly<Record<ContextState, string>> = {
  new: 'created',
  made: 'unchanged',
  differs: 'updated',
  taken: 'not made: another context has this name (choose a --prefix)',
};

async function create(
  docker: DockerContexts,
  plan: readonly PlannedContext[],
  known: readonly KnownContext[],
  json: boolean,
): Promise<number> {
  const done: { readonly name: string; readonly endpoint: string; readonly outcome: string }[] = [];
  let failed = false;
  for (const context of plan) {
    const state = stateOf(context, known);
    if (state === 'new') await docker.create(context);
    if (state === 'differs') await docker.update(context);
    failed ||= state === 'taken';
    done.push({ name: context.name, endpoint: context.endpoint, outcome: doneWords[state] });
  }
  const hint = `use it: docker --context ${plan[0]?.name} ps, or docker context use ${plan[0]?.name}\n`;
  const text = `${done.map(({ name, outcome }) => `${name}: ${outcome}\n`).join('')}${failed ? '' : hint}`;
  process.stdout.write(json ? `${JSON.stringify(done)}\n` : text);
  return failed ? 1 : 0;
}

async function remove(docker: DockerContexts, prefix: string, json: boolean): Promise<number> {
  const outcomes: { readonly name: string; readonly outcome: string }[] = [];
  for (const { name, current } of toRemove(prefix, await docker.list())) {
    if (!current) await docker.remove(name);
    outcomes.push({ name, outcome: current ? inUse : 'removed' });
  }
  const text = outcomes.map(({ name, outcome }) => `${name}: ${outcome}\n`).join('');
  process.stdout.write(json ? `${JSON.stringify(outcomes)}\n` : text || 'nothing to remove\n');
  return outcomes.some(({ outcome }) => outcome === inUse) ? 1 : 0;
}

const inUse = 'kept: it is the current context (docker context use default)';

function trimSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
