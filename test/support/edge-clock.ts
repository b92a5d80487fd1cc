// Time that a test moves by hand, for Edge mode.

export interface TestClock {
  monotonicMs(): number;
  wallMs(): number;
  after(delayMs: number, callback: () => void): () => void;
  /** Moves time, and calls back what came due, in order. */
  advance(ms: number): void;
  /** Timers that wait. */
  waiting(): number;
}

export function createTestClock(): TestClock {
  let nowMs = 0;
  const timers = new Set<{ readonly dueMs: number; readonly callback: () => void }>();
  return {
    monotonicMs: () => nowMs,
    wallMs: () => 1_800_000_000_000 + nowMs,
    after(delayMs, callback) {
      const timer = { dueMs: nowMs + delayMs, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const endMs = nowMs + ms;
      for (;;) {
        const [next] = [...timers]
          .filter(({ dueMs }) => dueMs <= endMs)
          .toSorted((a, b) => a.dueMs - b.dueMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.dueMs);
        next.callback();
      }
      nowMs = endMs;
    },
    waiting: () => timers.size,
  };
}
