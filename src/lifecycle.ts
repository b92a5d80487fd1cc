// What starts and stops: services are started in order and stopped in reverse, whatever failed on the way.

/** A thing with a life outside the process (socket, timer, file). Both calls may be made twice. */
export interface Startable {
  /** Shown in logs and in the error when it fails to start or stop. */
  readonly name: string;
  start(signal: AbortSignal): Promise<void>;
  stop(signal: AbortSignal): Promise<void>;
}

/** Starts all in order. When one fails, those already started are stopped in reverse and its error is thrown. */
export async function startAll(services: readonly Startable[], signal: AbortSignal): Promise<void> {
  const started: Startable[] = [];
  try {
    for (const service of services) {
      signal.throwIfAborted();
      await service.start(signal);
      started.push(service);
    }
  } catch (error) {
    await stopAll(started, AbortSignal.timeout(startFailureStopMs));
    throw error;
  }
}

/** Stops all in reverse order. Every one is stopped, also when others fail; the failures are thrown together. */
export async function stopAll(services: readonly Startable[], signal: AbortSignal): Promise<void> {
  const failures: unknown[] = [];
  for (const service of services.toReversed()) {
    try {
      await service.stop(signal);
    } catch (error) {
      failures.push(new Error(`stop ${service.name}`, { cause: error }));
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'stop services');
}

/** How long services may take to stop after another one failed to start. */
const startFailureStopMs = 5_000;

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
