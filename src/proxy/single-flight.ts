// Lets identical requests share one call to the engine. A call is only shared by requests that were there before it
// started: one that arrives during a call waits for the next, so no answer is older than its request.

import { AgentError } from '../errors.ts';
import { type StartTimer, startTimer } from './timer.ts';

export interface SingleFlightOptions {
  /** Beyond so many different keys in progress, calls are not shared. */
  readonly maxKeys: number;
  /**
   * The next call starts at the latest after this, beside a slow one: a call that hangs must not hold up those behind
   * it. Also what sharing can add to a request's deadline.
   */
  readonly patienceMs: number;
  readonly startTimer?: StartTimer;
}

/** Different lists in progress that are watched for sharing; there are some ten paths and as many filters as clients. */
export const maxSharedKeys: number = 256;

export const singleFlightDefaults: SingleFlightOptions = { maxKeys: maxSharedKeys, patienceMs: 50 };

export interface SingleFlight<T> {
  /**
   * The result of `start`, this one or that of an identical request. Its signal aborts when all who share it have left.
   * Ends at once with `cancelled` when `signal` aborts.
   */
  run(key: string, start: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createSingleFlight<T>(options: SingleFlightOptions): SingleFlight<T> {
  const lanes = new Map<string, Lane<T>>();
  return {
    run(key, start, signal) {
      if (signal.aborted) return Promise.reject(left(signal));
      let lane = lanes.get(key);
      if (lane === undefined) {
        if (lanes.size >= options.maxKeys) return start(signal);
        lane = { active: 0, next: undefined, onEmpty: () => lanes.delete(key) };
        lanes.set(key, lane);
      }
      if (lane.active > 0) return join(waitingFlight(lane, start, options), signal);
      const flight = createFlight(lane, start);
      const result = join(flight, signal);
      launch(flight);
      return result;
    },
  };
}

/** What is going on for one key. */
interface Lane<T> {
  active: number;
  /** Collects requests until it starts. */
  next: Flight<T> | undefined;
  readonly onEmpty: () => void;
}

interface Flight<T> {
  readonly lane: Lane<T>;
  readonly start: (signal: AbortSignal) => Promise<T>;
  readonly controller: AbortController;
  readonly result: PromiseWithResolvers<T>;
  joined: number;
  cancelTimer: () => void;
}

function createFlight<T>(lane: Lane<T>, start: Flight<T>['start']): Flight<T> {
  const result = Promise.withResolvers<T>();
  // Everybody may have left by the time it fails; each of those was told already.
  result.promise.catch(() => undefined);
  return { lane, start, controller: new AbortController(), result, joined: 0, cancelTimer: () => undefined };
}

function waitingFlight<T>(lane: Lane<T>, start: Flight<T>['start'], options: SingleFlightOptions): Flight<T> {
  if (lane.next !== undefined) return lane.next;
  const flight = createFlight(lane, start);
  flight.cancelTimer = (options.startTimer ?? startTimer)(options.patienceMs, () => launch(flight));
  lane.next = flight;
  return flight;
}

function launch<T>(flight: Flight<T>): void {
  const { lane, result } = flight;
  if (lane.next === flight) lane.next = undefined;
  flight.cancelTimer();
  lane.active += 1;
  const settle = (): void => {
    lane.active -= 1;
    if (lane.next !== undefined) launch(lane.next);
    else if (lane.active === 0) lane.onEmpty();
  };
  flight.start(flight.controller.signal).then(result.resolve, result.reject).finally(settle);
}

function join<T>(flight: Flight<T>, signal: AbortSignal): Promise<T> {
  flight.joined += 1;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(left(signal));
      leave(flight);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    flight.result.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function leave<T>(flight: Flight<T>): void {
  flight.joined -= 1;
  if (flight.joined > 0) return;
  flight.controller.abort();
  if (flight.lane.next !== flight) return;
  flight.cancelTimer();
  flight.lane.next = undefined;
}

function left(signal: AbortSignal): AgentError {
  return new AgentError('cancelled', 'wait for a shared call: client left', { cause: signal.reason });
}
