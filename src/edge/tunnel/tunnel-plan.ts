// Decides what the tunnel is and when it changes: the state machine of the tunnel.
// Pure: time and chance are values of the events. Attempts are numbered, so that what an old one says changes nothing.

import type { TunnelOrder } from '../edge.ts';

export type PlanState =
  | { readonly kind: 'closed'; readonly why: 'not-wanted' | 'inactive'; readonly serial: number }
  | {
      readonly kind: 'connecting';
      readonly serial: number;
      readonly attempt: number;
      readonly startedMs: number;
      /** Of this attempt. */
      readonly order: TunnelOrder;
      /** Of the next one, should this fail. */
      readonly next: TunnelOrder;
    }
  | {
      readonly kind: 'open';
      readonly serial: number;
      readonly attempt: number;
      readonly openedMs: number;
      readonly order: TunnelOrder;
      /** Of the next one, when this is lost: the same place, perhaps with another password. */
      readonly next: TunnelOrder;
      readonly channels: number;
      /** When the last channel closed, or when it was opened. */
      readonly idleSinceMs: number;
    }
  | {
      readonly kind: 'waiting';
      readonly serial: number;
      readonly attempt: number;
      readonly order: TunnelOrder;
      readonly reason: string;
      readonly dueMs: number;
    };

type OpenState = Extract<PlanState, { kind: 'open' }>;

export type PlanEvent =
  | { readonly kind: 'wanted'; readonly order: TunnelOrder }
  | { readonly kind: 'unwanted' }
  /** The timer that `dueMsOf` asks for. */
  | { readonly kind: 'due' }
  | { readonly kind: 'connected'; readonly serial: number }
  /** An attempt failed, or what was open is lost. */
  | { readonly kind: 'ended'; readonly serial: number; readonly reason: string }
  | { readonly kind: 'channels'; readonly serial: number; readonly change: 1 | -1 };

export interface PlanMoment {
  /** Monotonic. */
  readonly nowMs: number;
  /** From 0 up to, not including, 1. */
  readonly random: number;
  readonly inactivityMs: number;
}

const firstRetryMs = 1_000;
/** Portainer's usual poll interval: longer, and it would take the agent for lost. */
const longestRetryMs = 5_000;
/** Even an attempt that took long is followed by a moment of rest. */
const leastRetryMs = 250;
/** What lived shorter counts as a failed attempt: a server that takes us and drops us is not asked ever faster. */
const steadyMs = 10_000;

export const initialPlanState: PlanState = { kind: 'closed', why: 'not-wanted', serial: 0 };

/** Events that do not fit the state change nothing. */
export function nextPlanState(state: PlanState, event: PlanEvent, moment: PlanMoment): PlanState {
  switch (event.kind) {
    case 'wanted':
      return onWanted(state, event.order, moment);
    case 'unwanted':
      return state.kind === 'closed' && state.why === 'not-wanted'
        ? state
        : { kind: 'closed', why: 'not-wanted', serial: state.serial };
    case 'due':
      return onDue(state, moment);
    case 'connected':
      if (state.kind !== 'connecting' || state.serial !== event.serial) return state;
      return opened(state, moment);
    case 'ended':
      return state.serial === event.serial ? onEnded(state, event.reason, moment) : state;
    case 'channels':
      return state.serial === event.serial ? onChannels(state, event.change, moment) : state;
  }
}

/** When the state changes by itself; undefined: only by an event. */
export function dueMsOf(state: PlanState, inactivityMs: number): number | undefined {
  switch (state.kind) {
    case 'waiting':
      return state.dueMs;
    case 'open':
      // In use it stays, however quiet: a log may not have a line for hours.
      return state.channels === 0 ? state.idleSinceMs + inactivityMs : undefined;
    case 'closed':
    case 'connecting':
      return undefined;
  }
}

function onWanted(state: PlanState, order: TunnelOrder, { nowMs }: PlanMoment): PlanState {
  switch (state.kind) {
    case 'closed':
      return connecting(state.serial + 1, 1, order, nowMs);
    case 'waiting':
      // Another port or password: what failed with the old one says nothing of it.
      return isSame(state.order, order) ? state : connecting(state.serial + 1, 1, order, nowMs);
    case 'connecting':
      return { ...state, next: order };
    case 'open':
      return isSame(state.next, order) ? state : unlessMoved({ ...state, next: order }, nowMs);
  }
}

/**
 * The server listens for us elsewhere now: it has given up what is open, streams and all, as it does before it says IDLE,
 * and waits for the new one no longer than two intervals.
 */
function unlessMoved(state: OpenState, nowMs: number): PlanState {
  const { order, next, serial } = state;
  const hasMoved =
    order.port !== next.port ||
    order.tunnelAddress !== next.tunnelAddress ||
    order.fingerprint !== next.fingerprint;
  return hasMoved ? connecting(serial + 1, 1, next, nowMs) : state;
}

function onDue(state: PlanState, { nowMs, inactivityMs }: PlanMoment): PlanState {
  const dueMs = dueMsOf(state, inactivityMs);
  if (dueMs === undefined || nowMs < dueMs) return state;
  if (state.kind === 'waiting') return connecting(state.serial + 1, state.attempt + 1, state.order, nowMs);
  return { kind: 'closed', why: 'inactive', serial: state.serial };
}

function onEnded(state: PlanState, reason: string, moment: PlanMoment): PlanState {
  const { nowMs } = moment;
  if (state.kind === 'connecting') {
    const { serial, attempt, order, next } = state;
    if (!isSame(order, next)) return connecting(serial + 1, 1, next, nowMs);
    return {
      kind: 'waiting',
      serial,
      attempt,
      order,
      reason,
      dueMs: retryMs(attempt, state.startedMs, moment),
    };
  }
  if (state.kind !== 'open') return state;
  const { serial, order, next } = state;
  if (!isSame(order, next)) return connecting(serial + 1, 1, next, nowMs);
  const attempt = nowMs - state.openedMs >= steadyMs ? 1 : state.attempt;
  return { kind: 'waiting', serial, attempt, order, reason, dueMs: retryMs(attempt, nowMs, moment) };
}

function onChannels(state: PlanState, change: 1 | -1, { nowMs }: PlanMoment): PlanState {
  if (state.kind !== 'open') return state;
  return { ...state, channels: Math.max(0, state.channels + change), idleSinceMs: nowMs };
}

function opened(state: Extract<PlanState, { kind: 'connecting' }>, { nowMs }: PlanMoment): PlanState {
  const { serial, attempt, order, next } = state;
  const open = { kind: 'open', serial, attempt, openedMs: nowMs, order, next } as const;
  return unlessMoved({ ...open, channels: 0, idleSinceMs: nowMs }, nowMs);
}

function connecting(serial: number, attempt: number, order: TunnelOrder, startedMs: number): PlanState {
  return { kind: 'connecting', serial, attempt, startedMs, order, next: order };
}

/** Doubling, with chance, so that a server that comes back is not met by all its agents at once. */
function retryMs(attempt: number, sinceMs: number, { nowMs, random }: PlanMoment): number {
  const longest = Math.min(firstRetryMs * 2 ** (attempt - 1), longestRetryMs);
  // From the start of the attempt: one that hung has waited already.
  return Math.max(sinceMs + longest * (0.5 + random / 2), nowMs + leastRetryMs * (1 + random));
}

function isSame(a: TunnelOrder, b: TunnelOrder): boolean {
  return (
    a.port === b.port &&
    a.credentials === b.credentials &&
    a.tunnelAddress === b.tunnelAddress &&
    a.fingerprint === b.fingerprint
  );
}
