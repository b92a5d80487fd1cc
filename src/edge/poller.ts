// Polls as poll-plan.ts decides: one timer and at most one request at a time, both gone when it rests or stops.

import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { PollAnswer } from './edge.ts';
import {
  initialPollState,
  nextPollState,
  type PollEvent,
  type PollOutcome,
  type PollStart,
  type PollState,
  pollTimeoutMs,
} from './poll-plan.ts';

/** Time as Edge mode sees it; a test moves it by hand. */
export interface EdgeClock {
  monotonicMs(): number;
  wallMs(): number;
  /** Calls back once after the delay. Returns the call that cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

export interface PollerNeeds {
  /** Never rejects. */
  readonly poll: (start: PollStart, timeoutMs: number, signal: AbortSignal) => Promise<PollOutcome>;
  readonly onAnswer: (answer: PollAnswer, environmentId: number) => void;
  /** This agent is not the one that polls any more. */
  readonly onRest: () => void;
  readonly clock: EdgeClock;
  readonly random: () => number;
  readonly log: Logger;
}

export interface Poller {
  /** Whether this agent is the one that polls. Nothing happens before the first call. */
  setRole(mayPoll: boolean): void;
  state(): PollState;
  /** Resolves when the poll in progress has ended. Calls back no more. */
  stop(): Promise<void>;
}

export function createPoller(needs: PollerNeeds, environmentId: number): Poller {
  const { clock, log } = needs;
  let state = initialPollState(environmentId);
  let cancelTimer = (): void => undefined;
  let running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  let stopped = false;

  const move = (event: PollEvent): void => {
    if (stopped) return;
    const before = state;
    state = nextPollState(before, event, {
      nowMs: clock.monotonicMs(),
      wallMs: clock.wallMs(),
      random: needs.random(),
    });
    if (event.kind === 'ended') logOutcome(log, before, state);
    if (before.phase === state.phase) return;
    cancelTimer();
    follow(before);
  };

  const follow = (before: PollState): void => {
    switch (state.phase.kind) {
      case 'resting':
        running?.abort.abort();
        running = undefined;
        if (before.phase.kind !== 'resting') needs.onRest();
        return;
      case 'waiting':
        cancelTimer = clock.after(Math.max(0, state.phase.dueMs - clock.monotonicMs()), () =>
          move({ kind: 'due' }),
        );
        return;
      case 'polling':
        poll();
    }
  };

  const poll = (): void => {
    const abort = new AbortController();
    const ended = needs
      .poll(state.start, pollTimeoutMs(state.intervalMs), abort.signal)
      .then((outcome) => {
        // Given up meanwhile: what it found is nobody's any more.
        if (abort.signal.aborted) return;
        move({ kind: 'ended', outcome });
        if (outcome.kind === 'good') needs.onAnswer(outcome.answer, outcome.environmentId);
      })
      .catch((error: unknown) => log.error('poll answer not followed', { reason: reasonOf(error) }));
    running = { abort, ended };
  };

  return {
    setRole: (mayPoll) => move({ kind: 'role', mayPoll }),
    state: () => state,
    async stop(): Promise<void> {
      stopped = true;
      cancelTimer();
      running?.abort.abort();
      await running?.ended;
    },
  };
}

/** Once for each change: the same failure every few seconds would bury everything else. */
function logOutcome(log: Logger, before: PollState, { failure }: PollState): void {
  if (failure === undefined) {
    if (before.failure !== undefined || before.lastGoodMs === undefined) log.info('polling works');
  } else if (before.failure !== failure) {
    log.warn('poll failed', { reason: failure });
  }
}
