// Reports each exchange to the metrics once: where it went, how it ended, how long it took.

import type { Exchange } from '../exchange.ts';
import type { Metrics, RouteClass } from './metrics.ts';

export type Observe = (exchange: Exchange, route: RouteClass, stream: 'short' | 'endless' | 'hijack') => void;

export function createObserve(metrics: Metrics): Observe {
  return (exchange, route, stream) => {
    const startedMs = performance.now();
    const closed = stream === 'short' ? undefined : metrics.streamOpened(stream);
    const end = (status: number): void => {
      closed?.();
      metrics.requestEnded(route, status, (performance.now() - startedMs) / 1_000);
    };
    if (exchange.kind === 'request') {
      const { res } = exchange;
      res.on('close', () => end(res.headersSent ? res.statusCode : clientLeft));
    } else {
      // What the raw bytes said is nobody's business here.
      exchange.socket.once('close', () => end(hijacked));
    }
  };
}

/** Labels where there is no status of our own: nginx's for a client that left, and the one a hijack starts with. */
const clientLeft = 499;
const hijacked = 101;
