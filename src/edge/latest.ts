// Runs work one at a time on the newest value given: what came in between is skipped, because each value is a whole.

export interface Latest<T> {
  give(value: T): void;
  /** Ends the run in progress; resolves when it has ended. May be given to again. */
  cancel(): Promise<void>;
}

export interface LatestNeeds<T> {
  readonly run: (value: T, signal: AbortSignal) => Promise<void>;
  /** A run failed by itself, not because it was cancelled. */
  readonly onFailed: (error: unknown) => void;
}

export function createLatest<T>({ run, onFailed }: LatestNeeds<T>): Latest<T> {
  let next: { readonly value: T } | undefined;
  let running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;

  const work = async (signal: AbortSignal): Promise<void> => {
    while (next !== undefined && !signal.aborted) {
      const { value } = next;
      next = undefined;
      try {
        await run(value, signal);
      } catch (error) {
        if (!signal.aborted) onFailed(error);
      }
    }
  };
  const begin = (): void => {
    const abort = new AbortController();
    const current = {
      abort,
      ended: work(abort.signal).finally(() => {
        if (running === current) running = undefined;
        // Given while a cancelled run was on its way out.
        if (next !== undefined && running === undefined) begin();
      }),
    };
    running = current;
  };

  return {
    give(value): void {
      next = { value };
      if (running === undefined) begin();
    },
    async cancel(): Promise<void> {
      next = undefined;
      running?.abort.abort();
      await running?.ended;
    },
  };
}
