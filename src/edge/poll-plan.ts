// Decides when to poll, and what a poll's outcome changes: the state machine of the poller.
// Pure: time and chance are values of the events. A failed poll changes the time of the next one, and nothing else.

import type { PollAnswer } from './edge.ts';

/** `edge`: the older route is tried when this one answers 404. `edge-only`: it was, once, in vain. */
export type PollRoute = 'edge' | 'edge-only' | 'older';

/** What a poll begins with. */
export interface PollStart {
  /** 0: a global key whose id Portainer has to tell first. */
  readonly environmentId: number;
  readonly route: PollRoute;
}

/** Both kinds say what the next poll begins with. */
export type PollOutcome = PollStart &
  (
    | { readonly kind: 'good'; readonly answer: PollAnswer }
    | { readonly kind: 'bad'; readonly failure: string }
  );

export type PollPhase =
  /** Another agent's turn. */
  | { readonly kind: 'resting' }
  | { readonly kind: 'waiting'; readonly dueMs: number }
  | { readonly kind: 'polling'; readonly startedMs: number };

export interface PollState {
  readonly phase: PollPhase;
  readonly start: PollStart;
  readonly intervalMs: number;
  /** Wall clock of the last good poll. */
  readonly lastGoodMs: number | undefined;
  /** Of the last poll; undefined when it was good. */
  readonly failure: string | undefined;
}

export type PollEvent =
  /** Whether this agent is the one that polls. */
  | { readonly kind: 'role'; readonly mayPoll: boolean }
  /** The timer of `waiting` went off. */
  | { readonly kind: 'due' }
  | { readonly kind: 'ended'; readonly outcome: PollOutcome };

/** When and with what chance an event came. */
export interface PollMoment {
  /** Monotonic. */
  readonly nowMs: number;
  readonly wallMs: number;
  /** From 0 up to, not including, 1. */
  readonly random: number;
}

const firstIntervalMs = 5_000;
/** A poll may take longer than an interval, so that a small `checkin` does not cut slow links. */
const leastPollTimeoutMs = 10_000;

export function initialPollState(environmentId: number): PollState {
  return {
    phase: { kind: 'resting' },
    start: { environmentId, route: 'edge' },
    intervalMs: firstIntervalMs,
    lastGoodMs: undefined,
    failure: undefined,
  };
}

/** Events that do not fit the phase change nothing: an old timer, or a poll that was given up. */
export function nextPollState(state: PollState, event: PollEvent, moment: PollMoment): PollState {
  switch (event.kind) {
    case 'role':
      return onRole(state, event.mayPoll, moment);
    case 'due':
      if (state.phase.kind !== 'waiting') return state;
      return { ...state, phase: { kind: 'polling', startedMs: moment.nowMs } };
    case 'ended':
      return state.phase.kind === 'polling'
        ? onEnded(state, state.phase.startedMs, event.outcome, moment)
        : state;
  }
}

/** Two intervals: what a black hole may cost. */
export function pollTimeoutMs(intervalMs: number): number {
  return Math.max(2 * intervalMs, leastPollTimeoutMs);
}

/** The first poll is one interval after the start or after the role was taken over: the one before may still work. */
function onRole(state: PollState, mayPoll: boolean, { nowMs }: PollMoment): PollState {
  if (mayPoll === (state.phase.kind !== 'resting')) return state;
  if (!mayPoll) return { ...state, phase: { kind: 'resting' }, failure: undefined };
  return { ...state, phase: { kind: 'waiting', dueMs: nowMs + state.intervalMs } };
}

function onEnded(state: PollState, startedMs: number, outcome: PollOutcome, moment: PollMoment): PollState {
  const { environmentId, route } = outcome;
  const start = { environmentId, route };
  const dueIn = (delayMs: number): PollPhase => ({
    kind: 'waiting',
    // From the start of this poll, so that a slow one does not make this agent look dead.
    dueMs: Math.max(startedMs + delayMs, moment.nowMs),
  });
  if (outcome.kind === 'bad') {
    // One to two intervals: after a restart of the server not all agents come at once.
    const phase = dueIn(state.intervalMs * (1 + moment.random));
    return { ...state, phase, start, failure: outcome.failure };
  }
  const intervalMs = outcome.answer.checkinMs ?? state.intervalMs;
  return { phase: dueIn(intervalMs), start, intervalMs, lastGoodMs: moment.wallMs, failure: undefined };
}
