// Tells writers of one connection when it holds enough and when it takes more, whatever lies between them and its socket.

import type { Duplex } from 'node:stream';
import { AgentError } from '../../errors.ts';
import type { Outlet } from './link.ts';

export interface Gate {
  isBlocked(): boolean;
  /** Calls back whenever the socket has written all it held. Returns the call that ends it. */
  onFree(callback: () => void): () => void;
  /** Throws when the server makes us say more than it reads. */
  assertRead(): void;
}

/** Writers stop here; some of what they hold may still come. */
const heldBytes = 1024 * 1024;
/** Replies are sent whether or not the server reads: this many unread ones are an attack. */
const maxUnreadBytes = 32 * 1024 * 1024;

export function createGate(socket: Duplex): Gate {
  const waiting = new Set<() => void>();
  socket.on('drain', () => {
    for (const callback of [...waiting]) callback();
  });
  return {
    isBlocked: () => socket.writableLength > heldBytes,
    onFree(callback): () => void {
      waiting.add(callback);
      return () => waiting.delete(callback);
    },
    assertRead(): void {
      if (socket.writableLength > maxUnreadBytes)
        throw new AgentError('limit-exceeded', 'write to tunnel server: it does not read');
    },
  };
}

/** For a stream whose own backpressure is enough. */
export function ungated(stream: Duplex): Outlet {
  return { write: (chunk) => stream.write(chunk), isBlocked: () => false, onFree: () => () => undefined };
}
