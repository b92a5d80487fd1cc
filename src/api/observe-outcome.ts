// Reports to the metrics how members' parts of merged lists end, and each request that the engine left unanswered.
// Wraps what does the work; changes nothing of it.

import type { ErrorCode } from '../errors.ts';
import { toAgentError } from '../errors.ts';
import type { Fail } from './error-response.ts';
import type { Metrics, PartOutcome } from './metrics.ts';

/** `ask` as it was, with each of its ends counted and timed. A part that nobody waits for any more counts as none. */
export function observeParts<A extends readonly unknown[], T>(
  metrics: Metrics,
  ask: (...args: A) => Promise<T>,
): (...args: A) => Promise<T> {
  return async (...args) => {
    const startedMs = performance.now();
    const ended = (outcome: PartOutcome): void =>
      metrics.memberPartEnded(outcome, (performance.now() - startedMs) / 1_000);
    try {
      const part = await ask(...args);
      ended('answer');
      return part;
    } catch (error) {
      const { code } = toAgentError(error, 'unavailable', 'ask a member');
      if (code !== 'cancelled') ended(outcomeByCode[code] ?? 'failed');
      throw error;
    }
  };
}

/** `fail` as it was, with the engine's silences counted. */
export function observeEngineErrors(metrics: Metrics, fail: Fail): Fail {
  return (exchange, error) => {
    if (error.code === 'engine-unreachable') metrics.engineFailed();
    fail(exchange, error);
  };
}

const outcomeByCode: Readonly<Partial<Record<ErrorCode, PartOutcome>>> = {
  timeout: 'timeout',
  'limit-exceeded': 'too-large',
  'member-untrusted': 'untrusted',
  'member-unreachable': 'unreachable',
};
