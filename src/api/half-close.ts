// Answers clients that close their side behind a request, as `nc` and `socat` do at the end of their input. On a unix
// socket they look like clients that have left, so that they are answered for a moment only.

import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** A list of healthy nodes takes milliseconds. What lasts longer is ended, as an engine ends it at once. */
const defaultHalfClosedMs = 1_000;

/** Node's server ends its side as soon as the client has, and what was asked for is lost, unless it is told not to. */
interface HalfOpenServer {
  httpAllowHalfOpen: boolean;
}

/** Hijacked connections are not touched: there the client's end is an input's end, for as long as the output lasts. */
export function answerHalfClosed(server: Server, halfClosedMs: number = defaultHalfClosedMs): void {
  (server as Server & HalfOpenServer).httpAllowHalfOpen = true;
  const hijacked = new WeakSet<Duplex>();
  const onHijack = (_req: unknown, socket: Duplex): unknown => hijacked.add(socket);
  server.prependListener('upgrade', onHijack);
  server.prependListener('connect', onHijack);
  server.on('connection', (socket: Duplex) => {
    socket.once('end', () => {
      if (hijacked.has(socket)) return;
      const timer = setTimeout(() => socket.destroy(), halfClosedMs);
      socket.once('close', () => clearTimeout(timer));
    });
  });
}
