// Waits for a condition of the outside world, with a deadline, saying on stderr what it waits for once that takes long.

import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  readonly withinMs: number;
  /** Default: 50 ms. */
  readonly everyMs?: number;
  /** Ends the wait at once with its reason, when what is waited for can no longer come. */
  readonly signal?: AbortSignal;
}

const defaultEveryMs = 50;
const quietMs = 3_000;

/** Calls `check` until it returns something truthy. A check that throws has not come true yet; the last error is the cause. */
export async function waitFor<T>(
  what: string,
  check: () => T | Promise<T>,
  { withinMs, everyMs = defaultEveryMs, signal }: WaitOptions,
): Promise<NonNullable<T>> {
  const startedMs = Date.now();
  let said = false;
  for (;;) {
    signal?.throwIfAborted();
    let failure: unknown;
    try {
      const value = await check();
      if (value) return value;
    } catch (error) {
      failure = error;
    }
    const tookMs = Date.now() - startedMs;
    if (tookMs > withinMs) throw new Error(`waited ${withinMs} ms for ${what}`, { cause: failure });
    if (tookMs > quietMs && !said) {
      say(`waiting for ${what} (at most ${Math.ceil(withinMs / 1_000)} s)`);
      said = true;
    }
    await delay(everyMs);
  }
}

/** For people who watch: what takes its time, what was made, what is removed. */
export function say(line: string): void {
  process.stderr.write(`lab: ${line}\n`);
}
