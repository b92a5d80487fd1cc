// Answers `GET /info` for the whole cluster: what each engine says, and how many different images they have together.

import type { NodeOutcome } from '../fan-out.ts';
import type { Ask } from './ask.ts';
import type { Handler } from './call.ts';
import { isObject, parseExact } from './exact-json.ts';
import { mergeInfo } from './info-merge.ts';
import { jsonAnswer, questionOf } from './question.ts';
import { settleObjects } from './settle-objects.ts';

export interface InfoNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

export function createInfo({ ask, now }: InfoNeeds): Handler {
  return async (call) => {
    // Engines run `runc --version` and more for it, which takes seconds on a busy machine.
    const info = ask(call, questionOf(call, { pace: 'slow' }));
    // An engine counts what is not tagged, too. Of `HEAD` nobody reads a body.
    const images = ask(
      call,
      questionOf(call, { pace: 'list', method: 'GET', rawPath: '/images/json', query: '?all=1' }),
    );
    const [outcomes, lists] = await Promise.all([info, images]);
    const settled = settleObjects(outcomes, { strict: call.strict, nowMs: now() });
    if (settled.kind === 'answer') return settled.answer;
    const { parts, missing, headers } = settled;
    return jsonAnswer(mergeInfo({ parts, missing, imageIds: imageIdsOf(lists) }), headers);
  };
}

function imageIdsOf(lists: readonly NodeOutcome[]): ReadonlyMap<string, readonly string[]> {
  const byEngine = new Map<string, readonly string[]>();
  for (const { member, outcome } of lists) {
    if (member === undefined || outcome.kind === 'missing' || outcome.part.status !== 200) continue;
    const ids = idsIn(outcome.part.body);
    if (ids !== undefined) byEngine.set(member.record.engineId, ids);
  }
  return byEngine;
}

function idsIn(body: Buffer): readonly string[] | undefined {
  try {
    const list = parseExact(body);
    if (!Array.isArray(list)) return undefined;
    return list.flatMap((item: unknown) => {
      const id = isObject(item) ? item.Id : undefined;
      return typeof id === 'string' ? [id] : [];
    });
  } catch {
    return undefined;
  }
}
