// Lets identical requests share the promise of one call, under the rule of lanes.ts.

import { AgentError } from '../errors.ts';
import { createLanes, type Flight, type LaneOptions, type Lanes } from './lanes.ts';

export interface SingleFlight<T> {
  /**
   * The result of `start`, this one or that of an identical request. Its signal aborts when all who share it have left.
   * Ends at once with `cancelled` when `signal` aborts.
   */
  run(key: string, start: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createSingleFlight<T>(options: LaneOptions): SingleFlight<T> {
  const lanes: Lanes<SharedCall<T>> = createLanes(options);
  return {
    run(key, start, signal) {
      if (signal.aborted) return Promise.reject(left(signal));
      return new Promise((resolve, reject) => {
        lanes.join(
          key,
          () => new SharedCall(start, (flight) => lanes.cancel(key, flight)),
          (flight) => flight.enter(signal, resolve, reject),
        );
      });
    },
  };
}

class SharedCall<T> implements Flight {
  readonly #start: (signal: AbortSignal) => Promise<T>;
  readonly #onEmpty: (flight: SharedCall<T>) => void;
  readonly #controller: AbortController = new AbortController();
  readonly #result: PromiseWithResolvers<T> = Promise.withResolvers<T>();
  #joined = 0;

  constructor(start: (signal: AbortSignal) => Promise<T>, onEmpty: (flight: SharedCall<T>) => void) {
    this.#start = start;
    this.#onEmpty = onEmpty;
    // Everybody may have left by the time it fails; each of those was told already.
    this.#result.promise.catch(() => undefined);
  }

  enter(signal: AbortSignal, resolve: (value: T) => void, reject: (error: unknown) => void): void {
    this.#joined += 1;
    const onAbort = (): void => {
      reject(left(signal));
      this.#leave();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#result.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  }

  launch(ended: () => void): void {
    const { resolve, reject } = this.#result;
    this.#start(this.#controller.signal).then(resolve, reject).finally(ended);
  }

  #leave(): void {
    this.#joined -= 1;
    if (this.#joined > 0) return;
    this.#controller.abort();
    this.#onEmpty(this);
  }
}

function left(signal: AbortSignal): AgentError {
  return new AgentError('cancelled', 'wait for a shared call: client left', { cause: signal.reason });
}
