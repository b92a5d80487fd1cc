// Waits for a condition by asking again and again: the only way a test may wait for something without an event.

import { scaled } from './scale.ts';

export interface EventuallyOptions {
  /** The last failure of the check is thrown after this long. Default: what only a hang exceeds. */
  readonly withinMs?: number;
  readonly everyMs?: number;
}

/** At full length the machine does more at once. */
const defaultWithinMs = scaled(10_000, 25_000);

/** Repeats the check until it neither throws nor returns false, and returns what it returned. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = defaultWithinMs, everyMs = 20 }: EventuallyOptions = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    try {
      const result = await check();
      if (result !== false) return result;
      if (performance.now() >= deadlineMs) throw new Error(`condition still false after ${withinMs} ms`);
    } catch (error) {
      if (performance.now() >= deadlineMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
