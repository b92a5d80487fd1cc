// Waiting on the injected clock, ended early by an abort.

import type { Clock } from './clock.ts';

/** Resolves after the delay or at the abort, whichever comes first; the caller looks at the signal. */
export async function waitFor(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(delayMs, resolve);
  const onAbort = (): void => resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  await promise;
  cancel();
  signal.removeEventListener('abort', onAbort);
}
