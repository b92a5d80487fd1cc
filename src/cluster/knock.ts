// Asks whether anything listens at an address, by opening a TCP connection and closing it.

import { connect } from 'node:net';
import type { Endpoint } from './network.ts';

/** False when refused, unreachable, or silent for so long. */
export function isListening(endpoint: Endpoint, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: endpoint.address, port: endpoint.port });
  socket.setTimeout(timeoutMs, () => resolve(false));
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
