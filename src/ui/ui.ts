// The page on which a person gives an Edge agent its key. It has no login, so it is open for a quarter of an hour at most,
// closes once a key holds, and answers only so many attempts.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import type { EdgeKey, EdgeKeys } from '../edge/edge.ts';
import { AgentError } from '../errors.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import { createAttempts } from './attempts.ts';
import { createSetupRoutes, type SetupRoutesOptions } from './setup-routes.ts';

export interface SetupPageNeeds {
  readonly keys: EdgeKeys;
  /** Throws `request-invalid` with a reason for people. */
  readonly parseKey: (text: string) => EdgeKey;
  readonly nodeName: () => string;
  readonly clock: SetupClock;
  readonly log: Logger;
}

export interface SetupClock {
  monotonicMs(): number;
  wallMs(): number;
  after(delayMs: number, callback: () => void): () => void;
}

export interface SetupPageOptions {
  readonly host: string;
  readonly port: number;
}

export interface SetupPage extends Startable {
  isOpen(): boolean;
  /** Undefined while it is not open. */
  address(): AddressInfo | undefined;
}

/** Nobody is to find an open page of a forgotten agent. */
const openForMs = 15 * 60_000;
/** For the answer that says so to arrive. */
const closeGraceMs = 1_000;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 20_000;
/** One person with one browser; scanners find the rest refused. */
const maxPageConnections = 64;

/** Opens only where no key holds at the start. */
export function createSetupPage(needs: SetupPageNeeds, options: SetupPageOptions): SetupPage {
  const { keys, clock, log } = needs;
  let server: Server | undefined;
  let undo: readonly (() => void)[] = [];

  const close = (reason: string): void => {
    if (server === undefined) return;
    for (const call of undo) call();
    undo = [];
    server.close();
    server.closeAllConnections();
    server = undefined;
    log.info('edge page closed', { reason });
  };
  const open = async (): Promise<void> => {
    const closesAtMs = clock.wallMs() + openForMs;
    const handle = createApp(needs, { closesAtMs, listenHost: options.host });
    const opened = createServer(
      { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs },
      (req, res) => void handle(req, res),
    );
    opened.maxConnections = maxPageConnections;
    await listen(opened, options);
    server = opened;
    undo = [
      clock.after(openForMs, () => close('no key came in 15 minutes; a restart opens it again')),
      keys.onAssociated((_key, from) => {
        const reason = from === 'page' ? 'the agent is associated' : `a key came from a ${from}`;
        undo = [...undo, clock.after(closeGraceMs, () => close(reason))];
      }),
    ];
    // The type of `address` knows servers on pipes too.
    const { address, port } = opened.address() as AddressInfo;
    log.info('listening', {
      listener: 'edge-page',
      address,
      port,
      until: new Date(closesAtMs).toISOString(),
    });
  };

  return {
    name: 'edge page',
    isOpen: () => server !== undefined,
    address: () => (server?.address() as AddressInfo | null) ?? undefined,
    async start(): Promise<void> {
      if (server === undefined && keys.current() === undefined) await open();
    },
    stop(): Promise<void> {
      close('the agent stops');
      return Promise.resolve();
    },
  };
}

function createApp(needs: SetupPageNeeds, options: SetupRoutesOptions): ReturnType<Koa['callback']> {
  const app = new Koa();
  const attempts = createAttempts({ monotonicMs: needs.clock.monotonicMs });
  app.use(createSetupRoutes({ ...needs, attempts }, options));
  // Koa's own would write the stack to stderr.
  app.on('error', (error: unknown) => needs.log.debug('edge page request failed', { error: String(error) }));
  return app.callback();
}

function listen(server: Server, { host, port }: SetupPageOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const attempted = `listen on ${host}:${port} for the Edge page`;
      reject(new AgentError('unavailable', `${attempted}: ${error.message}`, { cause: error }));
    });
    server.listen({ host, port }, resolve);
  });
}
