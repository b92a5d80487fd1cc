// What a run owes is paid once, whoever asks for it, and nothing is made after its end.

import { deepEqual, rejects, throws } from 'node:assert/strict';
import { createLedger } from './suite/ledger.ts';

describe('ledger of a conformance run', () => {
  it('removes each thing once, by itself or at the end', async () => {
    const removed: string[] = [];
    const ledger = createLedger();
    const owe = (name: string): AsyncDisposable =>
      ledger.owe(async () => {
        await Promise.resolve();
        removed.push(name);
      });
    const first = owe('first');
    owe('second');
    await Promise.all([first[Symbol.asyncDispose](), first[Symbol.asyncDispose]()]);
    deepEqual(removed, ['first']);
    await Promise.all([ledger[Symbol.asyncDispose](), ledger[Symbol.asyncDispose]()]);
    await first[Symbol.asyncDispose]();
    deepEqual(removed, ['first', 'second']);
  });

  it('tries all removals, tells which failed, and takes no new debt', async () => {
    const removed: string[] = [];
    const ledger = createLedger();
    for (const name of ['a', 'b', 'c'])
      ledger.owe(async () => {
        await Promise.resolve();
        if (name === 'b') throw new Error('volume b is in use');
        removed.push(name);
      });
    await rejects(async () => ledger[Symbol.asyncDispose](), /left behind: Error: volume b is in use$/);
    deepEqual(removed, ['a', 'c']);
    throws(() => ledger.owe(async () => undefined), /the run has ended/);
  });
});
