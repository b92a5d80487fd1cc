// One run at a time, on the newest value; cancelled runs end before anything else begins.

import assert from 'node:assert/strict';
import { eventually } from '../../test/support/eventually.ts';
import { createLatest } from './latest.ts';

describe('latest', () => {
  it('skips what came in between, and never runs two at once', async () => {
    const ran: number[] = [];
    let running = 0;
    let release = (): void => undefined;
    const latest = createLatest<number>({
      async run(value) {
        running += 1;
        assert.equal(running, 1);
        ran.push(value);
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        running -= 1;
      },
      onFailed: (error) => assert.fail(String(error)),
    });
    for (const value of [1, 2, 3]) latest.give(value);
    assert.deepEqual(ran, [1]);
    release();
    await eventually(() => ran.length === 2);
    assert.deepEqual(ran, [1, 3]);
    release();
    await eventually(() => running === 0);
    latest.give(4);
    assert.deepEqual(ran, [1, 3, 4]);
    release();
  });

  it('tells a failure, and runs on', async () => {
    const failures: unknown[] = [];
    const latest = createLatest<number>({
      run: (value) => Promise.reject(new Error(String(value))),
      onFailed: (error) => failures.push(String(error)),
    });
    latest.give(1);
    await eventually(() => failures.length === 1);
    latest.give(2);
    await eventually(() => failures.length === 2);
    assert.deepEqual(failures, ['Error: 1', 'Error: 2']);
  });

  it('ends the run in progress when cancelled, without calling it a failure', async () => {
    let ended = false;
    const latest = createLatest<number>({
      async run(_value, signal) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        ended = true;
        throw new Error('interrupted');
      },
      onFailed: (error) => assert.fail(String(error)),
    });
    latest.give(1);
    latest.give(2);
    await latest.cancel();
    assert.equal(ended, true);
  });
});
