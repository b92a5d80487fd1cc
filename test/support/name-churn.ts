// Containers that come, go and change their names on an engine, with the times between which each certainly had a name,
// and outside of which it certainly had not. What a lookup may and must find follows from that.

import { askEngine } from './churn.ts';
import type { LabNode } from './lab/node.ts';

/** Something that a container was, by `performance.now()`. */
export interface Spell {
  readonly id: string;
  readonly nodeName: string;
  /** The engine was asked for it after this. */
  readonly askedMs: number;
  /** The engine said that it is so. */
  readonly madeMs: number;
  /** When its end was asked for, and when the engine said that it is over. Infinity while it lasts. */
  endingMs: number;
  endedMs: number;
}

export interface Naming extends Spell {
  readonly name: string;
}

/** All that ever was. */
export interface Past {
  readonly containers: readonly Spell[];
  readonly namings: readonly Naming[];
}

/** What somebody looks for: a name, a name on a node, a full id, or the beginning of one. */
export type Question =
  | { readonly by: 'name' | 'id' | 'prefix'; readonly text: string }
  | { readonly by: 'node'; readonly text: string; readonly nodeName: string };

export interface LookupAnswer {
  readonly question: Question;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly status: number;
  /** Of a 200 the one that it is about, of a 409 all that could be meant. */
  readonly ids: readonly string[];
}

/** What is wrong with the answer; undefined when nothing is. */
export function lookupFault(answer: LookupAnswer, past: Past): string | undefined {
  const { question, startedMs, endedMs, status, ids } = answer;
  const what = `${question.by} ${question.text}`;
  const meant = meantBy(question, past);
  const possible = idsOf(meant.filter((spell) => spell.askedMs <= endedMs && spell.endedMs >= startedMs));
  const certain = idsOf(meant.filter((spell) => spell.madeMs < startedMs && spell.endingMs > endedMs));
  const wrong = ids.find((id) => !possible.has(id));
  if (wrong !== undefined) return `${what} does not mean ${wrong}`;
  const found = new Set(ids);
  if (status === 200 && found.size === 1)
    return certain.isSubsetOf(found) ? undefined : `${what} is ambiguous, but one was taken`;
  if (status === 404) return certain.size > 0 ? `${what} was not found` : undefined;
  if (status === 409 && found.size > 1) return undefined;
  return `${what}: status ${status} with ${found.size} ids`;
}

function meantBy(question: Question, { containers, namings }: Past): readonly Spell[] {
  const { text } = question;
  switch (question.by) {
    case 'name':
      return namings.filter(({ name }) => name === text);
    case 'node':
      return namings.filter(({ name, nodeName }) => name === text && nodeName === question.nodeName);
    case 'id':
      return containers.filter(({ id }) => id === text);
    case 'prefix':
      return containers.filter(({ id }) => id.startsWith(text));
  }
}

function idsOf(spells: readonly Spell[]): ReadonlySet<string> {
  return new Set(spells.map(({ id }) => id));
}

export interface NameChurn extends AsyncDisposable {
  readonly past: Past;
  /** No more changes; what is there stays until the disposal. */
  stop(): Promise<void>;
}

export interface NameChurnOptions {
  /** Shared with the other nodes, so that a name moves between them and is on several at times. */
  readonly names: readonly string[];
  /** The most containers at a time, fewer than there are names. */
  readonly most: number;
  /** Between two changes. */
  readonly pauseMs: number;
}

const image = 'busybox:lab';

/** One change after the other, at random: a container comes, goes, or takes another name. */
export function startNameChurn(node: LabNode, { names, most, pauseMs }: NameChurnOptions): NameChurn {
  const containers: Spell[] = [];
  const namings: Naming[] = [];
  const present = new Map<Spell, Naming>();
  let stopped = false;

  const freeName = (): string => {
    const taken = new Set([...present.values()].map(({ name }) => name));
    return pick(names.filter((name) => !taken.has(name)));
  };
  const create = async (): Promise<void> => {
    const name = freeName();
    const askedMs = performance.now();
    const body = { Image: image, Cmd: ['sleep', '1000'], NetworkDisabled: true };
    // The engine's answer to a create.
    const { Id: id } = (await askEngine(node, 'POST', `/containers/create?name=${name}`, body)) as {
      Id: string;
    };
    const spell = { id, nodeName: node.name, askedMs, ...lasting() };
    const naming = { ...spell, name };
    containers.push(spell);
    namings.push(naming);
    present.set(spell, naming);
  };
  const rename = async (spell: Spell, naming: Naming): Promise<void> => {
    const name = freeName();
    const askedMs = performance.now();
    naming.endingMs = askedMs;
    await askEngine(node, 'POST', `/containers/${spell.id}/rename?name=${name}`);
    naming.endedMs = performance.now();
    const next = { id: spell.id, nodeName: node.name, name, askedMs, ...lasting() };
    namings.push(next);
    present.set(spell, next);
  };
  const remove = async (spell: Spell, naming: Naming): Promise<void> => {
    present.delete(spell);
    spell.endingMs = performance.now();
    naming.endingMs = spell.endingMs;
    await askEngine(node, 'DELETE', `/containers/${spell.id}?force=1`);
    spell.endedMs = performance.now();
    naming.endedMs = spell.endedMs;
  };
  const change = async (): Promise<void> => {
    const kind = Math.random();
    if (present.size === 0 || (present.size < most && kind < 0.4)) await create();
    else if (kind < 0.7) await rename(...pick([...present]));
    else await remove(...pick([...present]));
  };
  const run = async (): Promise<void> => {
    while (!stopped) {
      await change();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const running = run();
  // Thrown at `stop`, which every test awaits.
  running.catch(() => undefined);
  return {
    past: { containers, namings },
    stop: async () => {
      stopped = true;
      await running;
    },
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      await running.catch(() => undefined);
      for (const [spell, naming] of [...present]) await remove(spell, naming);
    },
  };
}

function lasting(): Pick<Spell, 'madeMs' | 'endingMs' | 'endedMs'> {
  return {
    madeMs: performance.now(),
    endingMs: Number.POSITIVE_INFINITY,
    endedMs: Number.POSITIVE_INFINITY,
  };
}

/** One of them at random. Throws where there is none. */
export function pick<T>(from: readonly T[]): T {
  const picked = from[Math.floor(Math.random() * from.length)];
  if (picked === undefined) throw new RangeError('pick from nothing');
  return picked;
}
