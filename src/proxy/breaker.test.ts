// The breaker as a table of states and events, and a relapsing member over time.

import assert from 'node:assert/strict';
import {
  type BreakerEvent,
  type BreakerOptions,
  type BreakerState,
  freshBreaker,
  nextBreaker,
} from './breaker.ts';

const options: BreakerOptions = { probeIntervalMs: 500, relapseMs: 10_000, maxHoldMs: 4_000 };
const nowMs = 100_000;
const closed: BreakerState = { kind: 'closed', sinceMs: 1_000, relapses: 0 };
const open: BreakerState = {
  kind: 'open',
  reason: 'timeout',
  sinceMs: 99_000,
  relapses: 2,
  nextProbeMs: 99_500,
};
const halfOpen: BreakerState = { kind: 'half-open', reason: 'timeout', sinceMs: 99_000, relapses: 2 };
const failed: BreakerEvent = { kind: 'failed', reason: 'refused' };

describe('breaker', () => {
  const cases: readonly (readonly [string, BreakerState, BreakerEvent, BreakerState])[] = [
    [
      'opens on a failure and plans a probe',
      closed,
      failed,
      { kind: 'open', reason: 'refused', sinceMs: nowMs, relapses: 0, nextProbeMs: nowMs + 500 },
    ],
    ['keeps the first reason and time while open', open, failed, open],
    ['is not moved by a late failure during a probe', halfOpen, failed, halfOpen],
    ['is half-open during a probe', open, { kind: 'probe-started' }, halfOpen],
    [
      'closes when the probe passed',
      halfOpen,
      { kind: 'probe-passed' },
      { kind: 'closed', sinceMs: nowMs, relapses: 2 },
    ],
    [
      'opens again when the probe failed',
      halfOpen,
      { kind: 'probe-failed' },
      { ...open, nextProbeMs: nowMs + 500 },
    ],
    ['does not close without a probe', open, { kind: 'probe-passed' }, open],
    ['does not open by a probe', closed, { kind: 'probe-failed' }, closed],
    ['is not probed while closed', closed, { kind: 'probe-started' }, closed],
    [
      'is probed at once when the member returned',
      open,
      { kind: 'returned' },
      { ...open, relapses: 0, nextProbeMs: nowMs },
    ],
    [
      'is probed anew when the member returned during a probe',
      halfOpen,
      { kind: 'returned' },
      { ...open, relapses: 0, nextProbeMs: nowMs },
    ],
    ['forgets relapses when the member returned', closed, { kind: 'returned' }, freshBreaker],
  ];
  for (const [name, state, event, wanted] of cases) {
    it(name, () => assert.deepEqual(nextBreaker(state, event, nowMs, options), wanted));
  }

  it('holds a member longer each time that it fails soon after its probe passed, up to a bound', () => {
    let state = freshBreaker;
    let now = nowMs;
    const holds: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      state = nextBreaker(state, failed, now, options);
      assert.equal(state.kind, 'open');
      if (state.kind !== 'open') return;
      holds.push(state.nextProbeMs - now);
      now = state.nextProbeMs;
      state = nextBreaker(state, { kind: 'probe-started' }, now, options);
      state = nextBreaker(state, { kind: 'probe-passed' }, now, options);
      now += 2_000;
    }
    assert.deepEqual(holds, [500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    state = nextBreaker(state, failed, now + options.relapseMs, options);
    assert.equal(state.kind === 'open' ? state.nextProbeMs - now - options.relapseMs : undefined, 500);
  });
});
