// The life of the compat listener: opened at the start, closed for good when nobody was associated in time.

import type { TlsOptions } from 'node:tls';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { Listener } from './server.ts';

export interface CompatServiceNeeds {
  readonly listener: Listener;
  readonly tls: () => Promise<TlsOptions>;
  /** Whether the agent may stay open to strangers' first signature no longer than the timeout. */
  readonly needsAssociation: boolean;
  readonly isAssociated: () => boolean;
  readonly onListening: (at: { readonly address: string; readonly port: number }) => void;
  readonly log: Logger;
}

export interface CompatServiceOptions {
  readonly host: string;
  readonly port: number;
  readonly drainMs: number;
  readonly associationTimeoutMs: number;
}

/** `setTimeout` takes 31 bits; a longer wait than 24 days means never in practice. */
const maxTimerMs = 2 ** 31 - 1;

export function createCompatService(needs: CompatServiceNeeds, options: CompatServiceOptions): Startable {
  const { listener, log } = needs;
  const { host, port, drainMs, associationTimeoutMs } = options;
  let timer: NodeJS.Timeout | undefined;

  /** An agent that nobody paired must not wait for whoever comes first, for ever (agent-api.md 5.5). */
  const closeUnlessAssociated = (): void => {
    if (needs.isAssociated()) return;
    log.warn('compat listener closed: not associated in time', { afterMs: associationTimeoutMs });
    void listener.drain(AbortSignal.timeout(drainMs));
  };

  return {
    name: 'compat',
    async start(): Promise<void> {
      if (listener.state() !== 'starting') return;
      const address = await listener.listen(host, port, await needs.tls());
      needs.onListening(address);
      log.info('listening', { listener: 'compat', address: address.address, port: address.port });
      if (needs.needsAssociation && associationTimeoutMs <= maxTimerMs) {
        timer = setTimeout(closeUnlessAssociated, associationTimeoutMs);
      }
    },
    stop(): Promise<void> {
      clearTimeout(timer);
      return listener.drain(AbortSignal.abort());
    },
  };
}
