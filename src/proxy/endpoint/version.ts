// Answers `GET /version` for the whole cluster. Only this engine is asked: members say in their records what they run.

import type { Ask } from './ask.ts';
import type { Handler } from './call.ts';
import { onlySelf } from './member-choice.ts';
import { jsonAnswer, questionOf } from './question.ts';
import { settleObjects } from './settle-objects.ts';
import { mergeVersionInfo } from './version-merge.ts';

export interface VersionNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

export function createVersion({ ask, now }: VersionNeeds): Handler {
  return async (call) => {
    const view = onlySelf(call.view);
    // As for `/info`, the engine asks its runtimes.
    const outcomes = await ask({ ...call, view }, questionOf(call, { pace: 'slow' }));
    const settled = settleObjects(outcomes, { strict: false, nowMs: now() });
    if (settled.kind === 'answer') return settled.answer;
    // Who is missing is said within: nobody else was asked.
    return jsonAnswer(mergeVersionInfo(settled.parts[0]?.value ?? {}, call.view), []);
  };
}
