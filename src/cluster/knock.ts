// Asks whether anything listens at an address, by opening a TCP connection and closing it.

import { connect } from 'node:net';
import { nodeCode } from '../errors.ts';
import type { Knock } from './cluster.ts';
import type { Endpoint } from './network.ts';

/** False when refused, unreachable, or silent for so long. */
export async function isListening(endpoint: Endpoint, timeoutMs: number): Promise<boolean> {
  return (await knock(endpoint, timeoutMs)).kind === 'open';
}

/** The same, with the difference between them: a refusal is an answer, silence is a packet that was dropped. */
export function knock(endpoint: Endpoint, timeoutMs: number): Promise<Knock> {
  const { promise, resolve } = Promise.withResolvers<Knock>();
  const socket = connect({ host: endpoint.address, port: endpoint.port });
  socket.setTimeout(timeoutMs, () => resolve({ kind: 'silent', afterMs: timeoutMs }));
  socket.once('connect', () => resolve({ kind: 'open' }));
  socket.once('error', (error) => resolve(toKnock(error, timeoutMs)));
  return promise.finally(() => socket.destroy());
}

function toKnock(error: Error, timeoutMs: number): Knock {
  const code = nodeCode(error) ?? error.message;
  if (code === 'ECONNREFUSED') return { kind: 'refused' };
  if (code === 'ETIMEDOUT') return { kind: 'silent', afterMs: timeoutMs };
  return { kind: 'unreachable', reason: code };
}
