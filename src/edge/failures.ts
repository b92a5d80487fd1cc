// One error of several failures, for work that goes on with the next thing when one of them fails.

import { AgentError, reasonOf } from '../errors.ts';

/** Throws `unavailable` with each reason once, unless there is none. The first is the cause. */
export function throwFailures(failures: readonly unknown[]): void {
  if (failures.length === 0) return;
  const reasons = [...new Set(failures.map(reasonOf))].join('; ');
  throw new AgentError('unavailable', reasons, { cause: failures[0] });
}
