// The state machine of the poller: a table of its transitions, and random lives held to what must always be true.

import assert from 'node:assert/strict';
import { pick, type Random, seeded } from '../../test/support/random-json.ts';
import type { PollAnswer } from './edge.ts';
import {
  initialPollState,
  nextPollState,
  type PollEvent,
  type PollOutcome,
  type PollState,
  pollTimeoutMs,
} from './poll-plan.ts';

const idle: PollAnswer = {
  status: 'IDLE',
  port: 0,
  credentials: '',
  checkinMs: undefined,
  schedules: [],
  stacks: [],
};
const start = { environmentId: 7, route: 'edge' } as const;
const good = { ...start, kind: 'good', answer: idle } satisfies PollOutcome;
const bad: PollOutcome = { ...start, kind: 'bad', failure: '502' };
const initial = initialPollState(7);
const waiting: PollState = { ...initial, phase: { kind: 'waiting', dueMs: 5_000 } };
const polling: PollState = { ...initial, phase: { kind: 'polling', startedMs: 5_000 } };

function next(state: PollState, event: PollEvent, nowMs: number, random = 0.5): PollState {
  return nextPollState(state, event, { nowMs, wallMs: 1_000_000 + nowMs, random });
}

describe('poll plan', () => {
  const rows: readonly (readonly [string, PollState, PollEvent, number, Partial<PollState>])[] = [
    ['waits an interval at the start', initial, { kind: 'role', mayPoll: true }, 0, { phase: { kind: 'waiting', dueMs: 5_000 } }],
    ['rests on from the start elsewhere', initial, { kind: 'role', mayPoll: false }, 0, initial],
    ['keeps its time when told its role again', waiting, { kind: 'role', mayPoll: true }, 3_000, waiting],
    ['polls when it is due', waiting, { kind: 'due' }, 5_000, { phase: { kind: 'polling', startedMs: 5_000 } }],
    ['ignores a timer of before', polling, { kind: 'due' }, 5_100, polling],
    ['ignores an outcome of before', waiting, { kind: 'ended', outcome: good }, 1, waiting],
    ['counts the interval from the start of a slow poll', polling, { kind: 'ended', outcome: good }, 8_000, { phase: { kind: 'waiting', dueMs: 10_000 }, lastGoodMs: 1_008_000 }],
    ['polls at once after one that took longer', polling, { kind: 'ended', outcome: good }, 14_000, { phase: { kind: 'waiting', dueMs: 14_000 } }],
    ['waits one to two intervals after a failure', polling, { kind: 'ended', outcome: bad }, 5_050, { phase: { kind: 'waiting', dueMs: 12_500 }, failure: '502' }],
    ['follows another interval', polling, { kind: 'ended', outcome: { ...good, answer: { ...idle, checkinMs: 60_000 } } }, 5_050, { phase: { kind: 'waiting', dueMs: 65_000 }, intervalMs: 60_000 }],
    ['keeps what a poll learned of its route', polling, { kind: 'ended', outcome: { ...good, route: 'older' } }, 5_050, { start: { environmentId: 7, route: 'older' } }],
    ['rests when the role is lost within a poll', polling, { kind: 'role', mayPoll: false }, 5_050, { phase: { kind: 'resting' } }],
  ]; // biome-ignore format: a table
  for (const [name, state, event, nowMs, expected] of rows) {
    it(name, () => {
      const got = next(state, event, nowMs);
      for (const [member, value] of Object.entries(expected))
        assert.deepEqual(got[member as keyof PollState], value, member);
    });
  }

  it('forgets a failure with the next good poll', () => {
    const failed = next(polling, { kind: 'ended', outcome: bad }, 5_050);
    const again = next(failed, { kind: 'due' }, 12_500);
    assert.equal(next(again, { kind: 'ended', outcome: good }, 12_600).failure, undefined);
  });

  it('spreads failed agents over a whole interval', () => {
    const dues = [0, 0.25, 0.5, 0.999].map((random) => {
      const { phase } = next(polling, { kind: 'ended', outcome: bad }, 5_050, random);
      return phase.kind === 'waiting' ? phase.dueMs - 5_000 : undefined;
    });
    assert.deepEqual(dues, [5_000, 6_250, 7_500, 9_995]);
  });

  it('gives a poll two intervals, and never less than 10 s', () => {
    assert.deepEqual([1_000, 5_000, 60_000].map(pollTimeoutMs), [10_000, 10_000, 120_000]);
  });

  it('keeps its rules over 200 random lives of 100 events', () => {
    for (let seed = 0; seed < 200; seed += 1) live(seeded(seed));
  });
});

/** Plays the doing file: a timer that is due goes off, a poll ends at some time, roles change at any. */
function live(random: Random): void {
  let state = initial;
  let nowMs = 0;
  for (let step = 0; step < 100; step += 1) {
    const event = randomEvent(state, random);
    nowMs =
      event.kind === 'due' && state.phase.kind === 'waiting'
        ? Math.max(nowMs, state.phase.dueMs)
        : nowMs + pick(random, 12_000);
    const before = state;
    state = next(before, event, nowMs, random());
    check(before, event, state, nowMs);
  }
}

function randomEvent({ phase }: PollState, random: Random): PollEvent {
  const roll = random();
  if (roll < 0.1) return { kind: 'role', mayPoll: random() < 0.7 };
  if (phase.kind === 'polling' || roll < 0.15) {
    const answer = { ...idle, checkinMs: random() < 0.2 ? 1_000 * (1 + pick(random, 60)) : undefined };
    return { kind: 'ended', outcome: random() < 0.5 ? bad : { ...good, answer } };
  }
  return phase.kind === 'resting' ? { kind: 'role', mayPoll: true } : { kind: 'due' };
}

function check(before: PollState, event: PollEvent, state: PollState, nowMs: number): void {
  const { phase } = state;
  if (phase.kind === 'waiting') {
    assert.ok(Number.isFinite(phase.dueMs), 'a time to poll');
    assert.ok(
      phase.dueMs <= nowMs + 2 * state.intervalMs || before === state,
      'never later than two intervals',
    );
  }
  if (phase.kind === 'polling' && before.phase.kind !== 'polling') assert.equal(event.kind, 'due');
  if (event.kind === 'role' && !event.mayPoll) assert.equal(phase.kind, 'resting');
  if (event.kind === 'ended' && before.phase.kind === 'polling') {
    assert.equal(phase.kind, 'waiting', 'a poll that ended is followed by another');
    if (event.outcome.kind === 'bad') {
      assert.equal(state.intervalMs, before.intervalMs, 'a failure changes no interval');
      assert.equal(state.lastGoodMs, before.lastGoodMs);
    }
  }
}
