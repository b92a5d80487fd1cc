// Answers `/_ping` for the whole cluster. Clients ping before each command, so only this engine is asked for the answer;
// what the others say is remembered, and asked again in the background once it is old or the member has changed.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import type { Ask } from './ask.ts';
import type { Handler } from './call.ts';
import { onlySelf } from './member-choice.ts';
import { type PingFacts, pingFactsOf, pingHeaders } from './ping-facts.ts';
import { questionOf } from './question.ts';
import { settle } from './settle.ts';

export interface PingNeeds {
  readonly ask: Ask;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
}

/** A builder is switched over by an operator who restarts the engine; this is how long that takes to be seen. */
const rememberMs = 30_000;

export function createPing({ ask, now }: PingNeeds): Handler {
  const memory = createPingMemory({ ask, now });
  return async (call) => {
    memory.refresh(call.view);
    const outcomes = await ask({ ...call, view: onlySelf(call.view) }, questionOf(call, { pace: 'list' }));
    const settled = settle(outcomes, { strict: false, nowMs: now() });
    if (settled.kind === 'answer') return settled.answer;
    const [own] = settled.parts;
    const headers = pingHeaders(own?.part.rawHeaders ?? [], memory.known(call.view), call.view);
    return { status: 200, headers, body: own?.part.body ?? '' };
  };
}

interface Remembered {
  readonly member: Member;
  readonly atMs: number;
  /** Undefined where it could not be had: the member counts for nothing until it is asked again. */
  readonly facts: PingFacts | undefined;
}

interface PingMemory {
  known(view: ClusterView): readonly PingFacts[];
  /** Returns at once. */
  refresh(view: ClusterView): void;
}

function createPingMemory({ ask, now }: PingNeeds): PingMemory {
  // By engine id; never more than the members of a view.
  const remembered = new Map<string, Remembered>();
  let asking = false;

  const isDue = (member: Member): boolean => {
    if (member.self) return false;
    const last = remembered.get(member.record.engineId);
    if (last === undefined || now() - last.atMs >= rememberMs || now() < last.atMs) return true;
    return isChanged(last.member, member);
  };

  const askNow = async (view: ClusterView, due: readonly Member[]): Promise<void> => {
    const signal = new AbortController().signal;
    const outcomes = await ask(
      { view: { ...view, members: due, missing: [] }, signal },
      { to: () => ({ method: 'GET', path: '/_ping', rawHeaders: [] }), pace: 'list' },
    );
    const atMs = now();
    for (const { member, outcome } of outcomes) {
      if (member === undefined) continue;
      const said = outcome.kind === 'answer' && outcome.part.status === 200 ? outcome.part : undefined;
      const facts = said === undefined ? undefined : pingFactsOf(said);
      remembered.set(member.record.engineId, { member, atMs, facts });
    }
  };

  return {
    known: (view) =>
      view.members.flatMap(({ self, record }) => {
        const facts = self ? undefined : remembered.get(record.engineId)?.facts;
        return facts === undefined ? [] : [facts];
      }),
    refresh(view): void {
      if (asking) return;
      const due = view.members.filter(isDue);
      if (due.length === 0) return;
      const present = new Set(view.members.map(({ record }) => record.engineId));
      for (const engineId of remembered.keys()) if (!present.has(engineId)) remembered.delete(engineId);
      asking = true;
      askNow(view, due)
        // A member that does not answer is an outcome; nothing else is worth failing a ping for.
        .catch(() => undefined)
        .finally(() => {
          asking = false;
        });
    },
  };
}

function isChanged({ record: before }: Member, { record: after }: Member): boolean {
  return before.engineVersion !== after.engineVersion || before.generation !== after.generation;
}
