// Tells whether the local engine hangs: other agents ask, before they let lists wait for this node again.
// An engine that is gone does not hang: a request to it fails at once, and costs nobody a deadline.

import { AgentError } from '../errors.ts';
import type { Transport } from './proxy.ts';

/** Shorter than the probe that asks (breakers.ts), so that the answer still reaches it. */
const pingTimeoutMs = 700;
/** The answer is two bytes. */
const maxPingBytes = 4_096;

export function createHangCheck(
  engine: Pick<Transport, 'fetch'>,
  timeoutMs: number = pingTimeoutMs,
): (signal: AbortSignal) => Promise<boolean> {
  return async (signal) => {
    const limits = { signal, firstByteMs: timeoutMs, idleMs: timeoutMs, maxBytes: maxPingBytes };
    try {
      await engine.fetch({ method: 'GET', path: '/_ping', rawHeaders: [] }, limits);
      return false;
    } catch (error) {
      return error instanceof AgentError && error.code === 'timeout';
    }
  };
}
