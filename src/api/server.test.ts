// The listener's own promises; what passes through it is held by test/conformance.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { createTestIdentity } from '../../test/support/identity.ts';
import { createListener, type Listener } from './server.ts';
import { compatTls } from './tls.ts';

describe('listener', () => {
  const open = async (): Promise<{ listener: Listener; port: number }> => {
    const listener = createListener(
      {
        handle: () => undefined,
        isHijack: () => false,
        refuse: () => undefined,
        onBadRequest: () => undefined,
      },
      { keepAliveMs: 120_000, handshakeTimeoutMs: 200 },
    );
    const tls = compatTls(await createTestIdentity());
    const { port } = await listener.listen('127.0.0.1', 0, tls);
    return { listener, port };
  };

  it('lets go of a client that leaves before its handshake', async () => {
    const { listener, port } = await open();
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.resume().end();
    // The other side closes as well, long before the deadline of the handshake.
    await once(socket, 'end', { signal: AbortSignal.timeout(15_000) });
    socket.destroy();
    await listener.drain(AbortSignal.abort());
  });

  it('lets go of clients that never say hello, or say something else', async () => {
    const { listener, port } = await open();
    for (const words of ['', 'GET /ping HTTP/1.1\r\nHost: agent\r\n\r\n', '\x16\x03\x01']) {
      const socket = net.connect({ host: '127.0.0.1', port });
      const closed = once(socket, 'close', { signal: AbortSignal.timeout(15_000) });
      socket.on('error', () => undefined).resume();
      if (words !== '') socket.write(words, 'latin1');
      await closed;
    }
    await listener.drain(AbortSignal.abort());
  });

  it('closes idle and unfinished connections at the deadline, and stays closed', async () => {
    const { listener, port } = await open();
    const socket = net.connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    assert.equal(listener.state(), 'listening');
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(15_000) });
    socket.on('error', () => undefined).resume();
    await listener.drain(AbortSignal.timeout(100));
    await closed;
    assert.equal(listener.state(), 'closed');
    await assert.rejects(listener.listen('127.0.0.1', 0, undefined), { code: 'unavailable' });
  });
});
