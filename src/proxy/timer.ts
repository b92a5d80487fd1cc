// The timer that the proxy's waits are handed, so that a test can move time. Never keeps the process alive.

/** Runs `run` once after the delay, unless the returned call came first. */
export type StartTimer = (delayMs: number, run: () => void) => () => void;

export const startTimer: StartTimer = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};
