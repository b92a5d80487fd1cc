// The reverse tunnel of Edge mode: does what tunnel-plan.ts decides, with one attempt or one link at a time.
// Through it the server reaches this agent's own API and nothing else.

import type { Duplex } from 'node:stream';
import { reasonOf } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Tunnel, TunnelOrder, TunnelState } from '../edge.ts';
import type { EdgeClock } from '../poller.ts';
import { createSaidReasons } from '../said-reasons.ts';
import { parseTunnelAddress, type TunnelAddress, toHostPort } from './address.ts';
import { connectChisel } from './chisel-link.ts';
import { decryptCredentials } from './credentials.ts';
import type { Connect, LinkOrder } from './link.ts';
import { type RunNeeds, runLink } from './run.ts';
import { createConnectSsh } from './ssh-link.ts';
import { dueMsOf, initialPlanState, nextPlanState, type PlanEvent, type PlanState } from './tunnel-plan.ts';

export interface TunnelNeeds {
  /** A connection to this agent's own API, as from outside. */
  readonly dialLocal: () => Promise<Duplex>;
  readonly clock: EdgeClock;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly log: Logger;
}

export interface TunnelOptions {
  /** Credentials are encrypted with it. */
  readonly edgeId: string;
  /** Of our API, as the server is told; it is only a name, since the server's connections go to `dialLocal`. */
  readonly target: { readonly host: string; readonly port: number };
  /** Closed when unused for so long. */
  readonly inactivityMs: number;
  /** `http://`, `https://`, `socks://`, `socks5://` or `socks5h://`; undefined: none. */
  readonly proxy: string | undefined;
}

export function createTunnel(needs: TunnelNeeds, options: TunnelOptions): Tunnel {
  const { clock, log } = needs;
  const { inactivityMs } = options;
  const connects = { chisel: connectChisel, ssh: createConnectSsh() };
  let state: PlanState = initialPlanState;
  let openedWallMs = 0;
  let cancelTimer = (): void => undefined;
  let running: { readonly serial: number; readonly abort: AbortController } | undefined;
  const runs = new Set<Promise<void>>();
  const logChange = createChangeLog(log);

  const move = (event: PlanEvent): void => {
    const before = state;
    state = nextPlanState(before, event, {
      nowMs: clock.monotonicMs(),
      random: needs.random(),
      inactivityMs,
    });
    if (state === before) {
      // Timers may go off a moment early.
      if (event.kind === 'due') arm();
      return;
    }
    if (state.kind === 'open' && before.kind !== 'open') openedWallMs = clock.wallMs();
    logChange(before, state);
    follow();
  };

  const arm = (): void => {
    cancelTimer();
    cancelTimer = () => undefined;
    const dueMs = dueMsOf(state, inactivityMs);
    if (dueMs !== undefined)
      cancelTimer = clock.after(Math.max(0, dueMs - clock.monotonicMs()), () => move({ kind: 'due' }));
  };

  const follow = (): void => {
    arm();
    if (running !== undefined && (state.serial !== running.serial || state.kind === 'closed')) {
      running.abort.abort(new Error('the tunnel is not wanted any more'));
      running = undefined;
    }
    if (state.kind === 'connecting' && running === undefined) start(state.serial, state.order);
  };

  const start = (serial: number, order: TunnelOrder): void => {
    const abort = new AbortController();
    running = { serial, abort };
    const run = runOnce(serial, order, abort.signal).finally(() => runs.delete(run));
    runs.add(run);
  };

  /** Never rejects. What it says after its abort changes nothing: the plan knows it by its number. */
  const runOnce = async (serial: number, order: TunnelOrder, signal: AbortSignal): Promise<void> => {
    // The one before holds the port on the server until its connection is gone.
    await Promise.all(runs);
    if (signal.aborted) return;
    const runNeeds = {
      dialLocal: needs.dialLocal,
      clock,
      proxy: options.proxy,
      onConnected: () => move({ kind: 'connected', serial }),
      onChannels: (change: 1 | -1) => move({ kind: 'channels', serial, change }),
    };
    move({ kind: 'ended', serial, reason: await attempt(order, options, connects, runNeeds, signal) });
  };

  return {
    open: (order) => move({ kind: 'wanted', order }),
    async close(): Promise<void> {
      move({ kind: 'unwanted' });
      await Promise.all(runs);
    },
    state: () => toTunnelState(state, clock, openedWallMs),
  };
}

/** Returns why it ended. Never rejects. */
async function attempt(
  order: TunnelOrder,
  options: TunnelOptions,
  connects: Readonly<Record<TunnelAddress['transport'], Connect>>,
  needs: Omit<RunNeeds, 'connect'>,
  signal: AbortSignal,
): Promise<string> {
  let link: LinkOrder;
  try {
    link = toLinkOrder(order, options);
  } catch (error) {
    return reasonOf(error);
  }
  return runLink(link, { ...needs, connect: connects[link.address.transport] }, signal);
}

/** Throws `config-invalid` or `protocol-violation` when the address cannot be read, or the credentials not decrypted. */
function toLinkOrder(order: TunnelOrder, { edgeId, target }: TunnelOptions): LinkOrder {
  const { tunnelAddress, fingerprint, port, credentials } = order;
  return {
    address: parseTunnelAddress(tunnelAddress),
    fingerprint,
    credentials: decryptCredentials(credentials, edgeId),
    port,
    target: toHostPort(target),
  };
}

function toTunnelState(state: PlanState, clock: EdgeClock, openedWallMs: number): TunnelState {
  switch (state.kind) {
    case 'closed':
      return { kind: 'closed', why: state.why };
    case 'connecting':
      return { kind: 'connecting', port: state.order.port, attempt: state.attempt };
    case 'open':
      return { kind: 'open', port: state.order.port, sinceMs: openedWallMs, channels: state.channels };
    case 'waiting': {
      const { order, attempt, reason, dueMs } = state;
      const retryAtMs = clock.wallMs() + dueMs - clock.monotonicMs();
      return { kind: 'waiting', port: order.port, attempt, reason, retryAtMs };
    }
  }
}

/** Each reason once: a server that is away for hours is one line, not thousands. Open or closed, it may be said again. */
function createChangeLog(log: Logger): (before: PlanState, after: PlanState) => void {
  const said = createSaidReasons();
  return (before, after) => {
    if (before.kind !== 'open' && after.kind === 'open')
      log.info('tunnel open', { port: after.order.port, server: after.order.tunnelAddress });
    if (after.kind === 'closed' && before.kind !== 'closed') log.info('tunnel closed', { why: after.why });
    if (after.kind === 'open' || after.kind === 'closed') said.forget();
    if (after.kind !== 'waiting') return;
    const fields = { reason: after.reason, attempt: after.attempt, port: after.order.port };
    if (said.isNew(after.reason)) log.warn('tunnel not open, tried again', fields);
    else log.debug('tunnel not open, tried again', fields);
  };
}
