// The metrics listener: `/metrics` for Prometheus, `/healthz` and `/readyz` for health checks. Nothing else.
// It has no authentication, so it tells counts and reasons, and listens on loopback unless configured otherwise.

import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { reasonOf } from '../errors.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { HealthReport } from './health.ts';
import type { MetricsText } from './metrics.ts';

export interface MetricsServerNeeds {
  readonly metrics: MetricsText;
  readonly health: () => HealthReport;
  readonly log: Logger;
}

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
}

/** Scrapers and probes only; more at once is a mistake or an attack. */
const maxConnections = 64;
const requestTimeoutMs = 10_000;

export function createMetricsServer(
  needs: MetricsServerNeeds,
  { host, port }: MetricsServerOptions,
): Startable {
  let server: Server | undefined;
  return {
    name: 'metrics',
    async start(signal): Promise<void> {
      if (server !== undefined) return;
      const starting = createServer({ requestTimeout: requestTimeoutMs }, (req, res) =>
        serve(needs, req, res),
      );
      starting.maxConnections = maxConnections;
      starting.listen({ host, port });
      await once(starting, 'listening', { signal });
      server = starting;
      const address = starting.address();
      // A TCP listener's address is an object; the text form is that of a pipe.
      if (address === null || typeof address === 'string') return;
      needs.log.info('listening', { listener: 'metrics', address: address.address, port: address.port });
    },
    async stop(): Promise<void> {
      if (server === undefined) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      server = undefined;
      await closed;
    },
  };
}

function serve(needs: MetricsServerNeeds, req: IncomingMessage, res: ServerResponse): void {
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    send(res, 405, 'text/plain', 'GET only\n');
    return;
  }
  const [path = ''] = (req.url ?? '').split('?');
  switch (path) {
    case '/metrics':
      needs.metrics.text().then(
        (text) => send(res, 200, needs.metrics.contentType, text),
        (error: unknown) => {
          needs.log.error('metrics not collected', { reason: reasonOf(error) });
          send(res, 500, 'text/plain', 'metrics could not be collected\n');
        },
      );
      break;
    case '/healthz': {
      const report = needs.health();
      sendReport(res, report.alive, report);
      break;
    }
    case '/readyz': {
      const report = needs.health();
      sendReport(res, report.ready, report);
      break;
    }
    default:
      send(res, 404, 'text/plain', 'there is /metrics, /healthz and /readyz\n');
  }
}

function sendReport(res: ServerResponse, good: boolean, report: HealthReport): void {
  send(res, good ? 200 : 503, 'application/json', `${JSON.stringify(report)}\n`);
}

function send(res: ServerResponse, status: number, type: string, body: string): void {
  res.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}
