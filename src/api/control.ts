// The control socket: how `flotilla keys`, `health`, `nodes` and `doctor` reach the agent that runs on this node.
// The file permission (0600) is the authentication: whoever may open it is already root here.

import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { reasonOf } from '../errors.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { DoctorReport } from './doctor/report.ts';
import type { HealthReport } from './health.ts';
import type { NodesReport } from './nodes.ts';
import { type BoundSocket, bindPrivately, removeSocket } from './unix-socket.ts';

/** A key of Portainer that the agents accept. */
export interface ListedKey {
  readonly publicKeyHex: string;
  /** Wall clock, milliseconds. */
  readonly associatedAtMs: number;
  /** Name of the node that associated it. */
  readonly by: string;
}

/** What became of `forget` on one node. */
export interface ForgetOutcome {
  readonly node: string;
  /** `forgotten`, or why it was not. */
  readonly outcome: string;
}

export interface ControlNeeds {
  readonly keys: {
    list(): readonly ListedKey[];
    forget(signal: AbortSignal): Promise<{ readonly nodes: readonly ForgetOutcome[] }>;
  };
  readonly health: () => HealthReport;
  readonly nodes: (signal: AbortSignal) => Promise<NodesReport>;
  readonly doctor: (signal: AbortSignal) => Promise<DoctorReport>;
  readonly log: Logger;
}

export interface ControlOptions {
  readonly controlSocket: string;
  /** How long `forget` may take to reach all members. */
  readonly forgetTimeoutMs?: number;
  /** How long members may take to be measured. */
  readonly measureTimeoutMs?: number;
}

const ownerOnly = 0o600;
/** Commands that an operator types. */
const maxConnections = 16;
const defaults = { forgetTimeoutMs: 5_000, measureTimeoutMs: 20_000 };

/**
 * Best effort: an agent on a read-only file system serves without its control socket, and says so in the log.
 */
export function createControl(needs: ControlNeeds, options: ControlOptions): Startable {
  let server: Server | undefined;
  let bound: BoundSocket | undefined;
  const settings = { ...defaults, ...options };
  const { controlSocket } = options;
  return {
    name: 'control',
    async start(): Promise<void> {
      if (server !== undefined) return;
      const starting = createServer((req, res) => void serve(needs, settings, req, res));
      starting.maxConnections = maxConnections;
      try {
        bound = await bindPrivately(starting, { path: controlSocket, mode: ownerOnly });
        server = starting;
      } catch (error) {
        starting.close();
        needs.log.warn('no control socket: the commands of flotilla will not find this agent', {
          path: controlSocket,
          reason: reasonOf(error),
        });
      }
    },
    async stop(): Promise<void> {
      const stopping = server;
      server = undefined;
      if (stopping === undefined) return;
      // Unless a newer agent has put its own in place.
      if (bound !== undefined) await removeSocket(bound);
      const closed = once(stopping, 'close');
      stopping.close();
      stopping.closeAllConnections();
      await closed;
    },
  };
}

async function serve(
  needs: ControlNeeds,
  { forgetTimeoutMs, measureTimeoutMs }: Required<ControlOptions>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  req.resume();
  try {
    switch (`${req.method} ${req.url}`) {
      case 'GET /health':
        send(res, 200, needs.health());
        break;
      case 'GET /nodes':
        send(res, 200, await needs.nodes(AbortSignal.timeout(measureTimeoutMs)));
        break;
      case 'GET /doctor':
        send(res, 200, await needs.doctor(AbortSignal.timeout(measureTimeoutMs)));
        break;
      case 'GET /keys':
        send(res, 200, { keys: needs.keys.list() });
        break;
      case 'POST /keys/forget':
        send(res, 200, await needs.keys.forget(AbortSignal.timeout(forgetTimeoutMs)));
        break;
      default:
        send(res, 404, { error: 'no such command' });
    }
  } catch (error) {
    // Its reader is the operator of this node, who may know the reason.
    send(res, 500, { error: reasonOf(error) });
  }
}

function send(res: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}
