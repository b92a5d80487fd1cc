// The one door from browsing to the file system. A call on a mount whose server is gone may never return, and holds one of
// the process's few threads for file systems, names and signatures until then: the rest of the agent keeps some of them.

import { AgentError } from '../errors.ts';

/** Half of the threads that `flotilla.ts` asks for. */
export const maxDiskCalls: number = 4;
/** Slow disks take their time to write out what is in memory; a dead one takes for ever. */
const waitMs = 10_000;

export type Disk = <T>(call: () => Promise<T>) => Promise<T>;

/** Each takes its turn. Rejects with `timeout` when no call of so many came back for so long, milliseconds. */
export function createDisk(maxCalls: number, patienceMs: number): Disk {
  let calls = 0;
  let returnedMs = 0;
  const waiting = new Set<() => void>();
  const turn = (): Promise<void> => {
    if (calls < maxCalls) {
      calls += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const mine = (): void => {
        clearTimeout(timer);
        waiting.delete(mine);
        resolve();
      };
      const sinceMs = performance.now();
      const giveUp = (): void => {
        const quietMs = performance.now() - Math.max(sinceMs, returnedMs);
        if (quietMs < patienceMs) {
          timer = setTimeout(giveUp, patienceMs - quietMs);
          return;
        }
        waiting.delete(mine);
        reject(new AgentError('timeout', 'wait for the disk: other calls to it do not return'));
      };
      let timer = setTimeout(giveUp, patienceMs);
      waiting.add(mine);
    });
  };
  return async (call) => {
    await turn();
    try {
      return await call();
    } finally {
      returnedMs = performance.now();
      const [next] = waiting;
      // The place goes on to whoever waits longest.
      if (next === undefined) calls -= 1;
      else next();
    }
  };
}

/** One for the process, as its threads are. Handles are closed without it: what came back once is let go at once. */
export const onDisk: Disk = createDisk(maxDiskCalls, waitMs);
