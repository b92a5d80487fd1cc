// Answers `GET /system/df` for the whole cluster. Engines count for long, so calls alike at the same time share one
// count; an older engine would even refuse the second.

import type { ClusterView } from '../../cluster/cluster.ts';
import type { Answer } from '../../exchange.ts';
import { laneDefaults } from '../lanes.ts';
import { createSerials } from '../serials.ts';
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
  const serialOf = createSerials<ClusterView>();
  return (call) => {
    const { view, strict, target } = call;
    const count = async (signal: AbortSignal): Promise<Answer> => {
      const outcomes = await ask({ view, signal }, questionOf(call, { pace: 'slow' }));
      const settled = settleObjects(outcomes, { strict, nowMs: now() });
      if (settled.kind === 'answer') return settled.answer;
      return jsonAnswer(mergeDf(settled.parts), settled.headers);
    };
    const key = `${serialOf(view)} ${strict} ${target.version ?? ''} ${target.query}`;
    return flights.run(key, count, call.signal);
  };
}
