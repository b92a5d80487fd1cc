// When a call may be shared: only by requests that were there before it started. One that arrives during a call waits for
// the next, so no answer is older than its request. What a call is, and how its answer is dealt out, is the caller's.

import { type StartTimer, startTimer } from './timer.ts';

export interface LaneOptions {
  /** Beyond so many different keys in progress, calls are not shared. */
  readonly maxKeys: number;
  /**
   * The next call starts at the latest after this, beside a slow one: a call that hangs must not hold up those behind
   * it. Also what sharing can add to a request's deadline, milliseconds.
   */
  readonly patienceMs: number;
  readonly startTimer?: StartTimer;
}

/** Different questions in progress that are watched for sharing; there are some ten paths, and as many ways to ask as clients. */
export const maxSharedKeys: number = 256;

export const laneDefaults: LaneOptions = { maxKeys: maxSharedKeys, patienceMs: 50 };

/** One call to be, and then in progress. */
export interface Flight {
  /** Makes the call; `ended` is told once, whichever way it ended. Never throws. */
  launch(ended: () => void): void;
}

export interface Lanes<F extends Flight> {
  /** The flight that a request which came just now may share; `enter` adds the request before anything is launched. */
  join(key: string, make: () => F, enter: (flight: F) => void): void;
  /** Nobody waits for it any more: it is not launched. Does nothing for one that was. */
  cancel(key: string, flight: F): void;
}

/** What is going on for one key. */
interface Lane<F> {
  active: number;
  /** Collects requests until it starts. */
  next: { readonly flight: F; readonly cancelTimer: () => void } | undefined;
}

export function createLanes<F extends Flight>(options: LaneOptions): Lanes<F> {
  const lanes = new Map<string, Lane<F>>();
  const start = options.startTimer ?? startTimer;

  const launch = (key: string, lane: Lane<F>, flight: F): void => {
    lane.active += 1;
    flight.launch(() => {
      lane.active -= 1;
      if (lane.next !== undefined) launchNext(key, lane);
      else if (lane.active === 0 && lanes.get(key) === lane) lanes.delete(key);
    });
  };

  const launchNext = (key: string, lane: Lane<F>): void => {
    const { next } = lane;
    if (next === undefined) return;
    lane.next = undefined;
    next.cancelTimer();
    launch(key, lane, next.flight);
  };

  return {
    join(key, make, enter): void {
      const lane = lanes.get(key);
      if (lane?.next !== undefined) enter(lane.next.flight);
      else if (lane !== undefined) {
        const flight = make();
        lane.next = { flight, cancelTimer: start(options.patienceMs, () => launchNext(key, lane)) };
        enter(flight);
      } else {
        const flight = make();
        enter(flight);
        const fresh: Lane<F> = { active: 0, next: undefined };
        if (lanes.size < options.maxKeys) lanes.set(key, fresh);
        launch(key, fresh, flight);
      }
    },
    cancel(key, flight): void {
      const lane = lanes.get(key);
      if (lane?.next?.flight !== flight) return;
      lane.next.cancelTimer();
      lane.next = undefined;
    },
  };
}
