// The door to the file system: how many pass at once, in which order, and for how long one waits before it.

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import { createDisk } from './disk.ts';

describe('calls to the disk', () => {
  it('pass up to the bound, the rest in their order, also behind one that fails', async () => {
    const disk = createDisk(2, 60_000);
    const begun: number[] = [];
    const calls = Array.from({ length: 5 }, () => Promise.withResolvers<number>());
    const results = calls.map(({ promise }, at) =>
      disk(() => {
        begun.push(at);
        return promise;
      }),
    );
    await settled();
    deepEqual(begun, [0, 1]);
    calls[1]?.reject(new Error('no such file'));
    await rejects(results[1] ?? Promise.resolve(), /no such file/);
    await settled();
    deepEqual(begun, [0, 1, 2]);
    for (const [at, { resolve }] of calls.entries()) resolve(at);
    deepEqual(await Promise.all(results.filter((_, at) => at !== 1)), [0, 2, 3, 4]);
    deepEqual(begun, [0, 1, 2, 3, 4]);
  });

  it('say that the disk does not answer where all before them hang, and pass again when one returns', async () => {
    const disk = createDisk(1, 20);
    const hanging = Promise.withResolvers<string>();
    const first = disk(() => hanging.promise);
    const refused = (error: unknown): boolean => error instanceof AgentError && error.code === 'timeout';
    for (let count = 0; count < 3; count += 1)
      await rejects(
        disk(() => Promise.resolve('ran')),
        refused,
      );
    hanging.resolve('back');
    equal(await first, 'back');
    equal(await disk(() => Promise.resolve('ran')), 'ran');
  });

  it('wait on while others come back, however many are before them', async () => {
    const disk = createDisk(1, 400);
    const steps = Array.from({ length: 6 }, () =>
      disk(() => new Promise((resolve) => setTimeout(resolve, 100))),
    );
    // Behind 600 ms of others, of which none takes as long as the patience.
    equal(await disk(() => Promise.resolve('ran')), 'ran');
    await Promise.all(steps);
  });
});

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
