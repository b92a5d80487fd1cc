// The control socket: how `flotilla keys` and `flotilla health` reach the agent that runs on this node.
// The file permission (0600) is the authentication: whoever may open it is already root here.

import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { reasonOf } from '../errors.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { HealthReport } from './health.ts';

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
  readonly log: Logger;
}

export interface ControlOptions {
  readonly controlSocket: string;
  /** How long `forget` may take to reach all members. */
  readonly forgetTimeoutMs?: number;
}

const ownerOnly = 0o600;
/** Commands that an operator types. */
const maxConnections = 16;
const defaultForgetTimeoutMs = 5_000;

/**
 * Best effort: an agent on a read-only file system serves without its control socket, and says so in the log.
 */
export function createControl(needs: ControlNeeds, options: ControlOptions): Startable {
  let server: Server | undefined;
  let inode: bigint | undefined;
  const { controlSocket, forgetTimeoutMs = defaultForgetTimeoutMs } = options;
  return {
    name: 'control',
    async start(): Promise<void> {
      if (server !== undefined) return;
      const starting = createServer((req, res) => void serve(needs, forgetTimeoutMs, req, res));
      starting.maxConnections = maxConnections;
      try {
        inode = await bindPrivately(starting, controlSocket);
        server = starting;
      } catch (error) {
        starting.close();
        needs.log.warn('no control socket: flotilla keys and health will not work', {
          path: controlSocket,
          reason: reasonOf(error),
        });
      }
    },
    async stop(): Promise<void> {
      if (server === undefined) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      server = undefined;
      await closed;
      // A newer agent may have put its own socket in place.
      const current = await stat(controlSocket, { bigint: true }).catch(() => undefined);
      if (current !== undefined && current.ino === inode) await rm(controlSocket, { force: true });
    },
  };
}

/**
 * Listens in a folder that only its owner may enter, sets the mode, then moves the socket into place: there is no
 * moment in which somebody else could connect, and a socket left by a killed agent is replaced.
 */
async function bindPrivately(server: Server, path: string): Promise<bigint> {
  await mkdir(dirname(path), { recursive: true });
  const folder = await mkdtemp(join(dirname(path), '.control-'));
  try {
    const unfinished = join(folder, 's');
    server.listen(unfinished);
    await once(server, 'listening');
    await chmod(unfinished, ownerOnly);
    const { ino } = await stat(unfinished, { bigint: true });
    await rename(unfinished, path);
    return ino;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function serve(
  needs: ControlNeeds,
  forgetTimeoutMs: number,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  req.resume();
  try {
    switch (`${req.method} ${req.url}`) {
      case 'GET /health':
        send(res, 200, needs.health());
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
