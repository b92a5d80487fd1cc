// The gate between writers and a connection that does not take what they have.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { createGate } from './gate.ts';

describe('gate of a connection', () => {
  it('closes at 1 MiB, opens when all is written, and refuses a server that never reads', async () => {
    let written = (): void => undefined;
    const socket = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, done) => {
        written = done;
      },
    });
    const gate = createGate(socket);
    let opened = 0;
    const off = gate.onFree(() => {
      opened += 1;
    });
    socket.write(Buffer.alloc(1024 * 1024));
    assert.equal(gate.isBlocked(), false);
    socket.write(Buffer.alloc(1));
    assert.equal(gate.isBlocked(), true);
    gate.assertRead();
    socket.write(Buffer.alloc(32 * 1024 * 1024));
    assert.throws(() => gate.assertRead(), { code: 'limit-exceeded' });
    const drained = once(socket, 'drain');
    for (let i = 0; i < 3; i += 1) written();
    await drained;
    assert.equal(gate.isBlocked(), false);
    assert.ok(opened > 0);
    off();
    socket.destroy();
  });
});
