// Answers `GET /system/df` for the whole cluster. Engines count for long, so calls alike at the same time share one
// count; an older engine would even refuse the second.

import type { Answer } from '../../exchange.ts';
import { laneDefaults } from '../lanes.ts';
import { createSingleFlight } from '../single-flight.ts';
import type { Ask } from './ask.ts';
import type { Handler } from './call.ts';
import { mergeDf } from './df-merge.ts';
import { jsonAnswer, questionOf } from './question.ts';
import { settleObjects } from './settle-objects.ts';

export interface DfNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

export function createDf({ ask, now }: DfNeeds): Handler {
  const flights = createSingleFlight<Answer>(laneDefaults);
  return (call) => {
    const { strict, target } = call;
    const count = async (signal: AbortSignal): Promise<Answer> => {
      const outcomes = await ask({ view: call.view, signal }, questionOf(call, { pace: 'slow' }));
      const settled = settleObjects(outcomes, { strict, nowMs: now() });
      if (settled.kind === 'answer') return settled.answer;
      return jsonAnswer(mergeDf(settled.parts), settled.headers);
    };
    return flights.run(`${strict} ${target.version ?? ''} ${target.query}`, count, call.signal);
  };
}
