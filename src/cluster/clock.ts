// Time as the cluster module sees it: a monotonic clock for decisions, the wall clock for generations and for people.
// Everything that waits in this module waits through it, so that a test can move time by hand.

export interface Clock {
  /** Never steps back; has no relation to the time of day. */
  monotonicMs(): number;
  /** May step in either direction. */
  wallMs(): number;
  /** Calls back once after the delay. Returns the call that cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
