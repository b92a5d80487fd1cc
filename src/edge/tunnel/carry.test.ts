// What carrying leaves behind: nothing, however many channels one link has seen.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { carry } from './carry.ts';
import { ungated } from './gate.ts';

describe('carry', () => {
  it('leaves nothing on the signal of the link', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i += 1) {
      const stream = new PassThrough();
      const ended = carry(
        { stream, closedByPeer: undefined, ...ungated(stream), close: () => void stream.destroy() },
        () => (i % 2 === 0 ? Promise.resolve(Duplex.from([])) : Promise.reject(new Error('not there'))),
        signal,
      );
      stream.end();
      await ended;
    }
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });
});
