// Measures how long something takes that has to be fast, on a machine that may stand still meanwhile: what this process was
// held up is not counted, for whoever is measured was held up as well.

export interface Stopwatch extends Disposable {
  /** Since the start, milliseconds. */
  elapsedMs(): number;
}

/** How often it looks at its clock. */
const tickMs = 5;
/** Much more than a tick is late on a busy machine, milliseconds. */
const defaultStepMs = 100;

/** What passes between two looks counts up to `maxStepMs`. */
export function startStopwatch(maxStepMs: number = defaultStepMs): Stopwatch {
  let countedMs = 0;
  let lookedMs = performance.now();
  const look = (): void => {
    const nowMs = performance.now();
    countedMs += Math.min(nowMs - lookedMs, maxStepMs);
    lookedMs = nowMs;
  };
  const timer = setInterval(look, tickMs).unref();
  return {
    elapsedMs(): number {
      look();
      return countedMs;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
