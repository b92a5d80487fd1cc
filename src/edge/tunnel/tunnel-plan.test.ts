// The plan of the tunnel against a model: random events in random order, and what must hold after each of them.

import assert from 'node:assert/strict';
import { createSeededRandom, type SeededRandom } from '../../../test/support/seeded-random.ts';
import type { TunnelOrder } from '../edge.ts';
import { dueMsOf, initialPlanState, nextPlanState, type PlanEvent, type PlanState } from './tunnel-plan.ts';

const inactivityMs = 300_000;
const orderOf = (port: number): TunnelOrder => ({
  tunnelAddress: 'server:8000',
  fingerprint: 'f',
  port,
  credentials: `c${port}`,
});

/** What anybody outside can tell of the tunnel. */
interface Model {
  wanted: TunnelOrder | undefined;
  /** The attempt or link that is alive, by its number. */
  alive: number | undefined;
  isOpen: boolean;
  openPort: number;
  channels: number;
  quietSinceMs: number;
  dead: number[];
}

function step(state: PlanState, event: PlanEvent, nowMs: number, random = 0.5): PlanState {
  return nextPlanState(state, event, { nowMs, random, inactivityMs });
}

describe('tunnel plan', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    it(`agrees with its model over 1,000 events (seed ${seed})`, () => followModel(createSeededRandom(seed)));
  }

  it('waits longer after each failure, up to 5 s, and starts anew after a link that lasted', () => {
    let state = step(initialPlanState, { kind: 'wanted', order: orderOf(1) }, 0);
    const waits: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 6; i += 1) {
      state = step(state, { kind: 'ended', serial: state.serial, reason: 'refused' }, nowMs, 0.999);
      assert.ok(state.kind === 'waiting');
      waits.push(Math.round((state.dueMs - nowMs) / 1_000));
      nowMs = state.dueMs;
      state = step(state, { kind: 'due' }, nowMs);
    }
    assert.deepEqual(waits, [1, 2, 4, 5, 5, 5]);
    state = step(state, { kind: 'connected', serial: state.serial }, nowMs);
    state = step(state, { kind: 'ended', serial: state.serial, reason: 'lost' }, nowMs + 60_000);
    assert.ok(state.kind === 'waiting');
    assert.equal(state.attempt, 1);
  });

  it('counts the time of an attempt that hung as waiting', () => {
    const connecting = step(initialPlanState, { kind: 'wanted', order: orderOf(1) }, 0);
    const state = step(connecting, { kind: 'ended', serial: connecting.serial, reason: 'timeout' }, 8_000, 0);
    assert.equal(dueMsOf(state, inactivityMs), 8_250);
  });

  it('does not wait with new credentials for what failed with the old ones', () => {
    let state = step(initialPlanState, { kind: 'wanted', order: orderOf(1) }, 0);
    state = step(state, { kind: 'ended', serial: state.serial, reason: 'refused' }, 10);
    assert.equal(step(state, { kind: 'wanted', order: orderOf(1) }, 20), state);
    const again = step(state, { kind: 'wanted', order: orderOf(2) }, 20);
    assert.ok(again.kind === 'connecting');
    assert.deepEqual([again.order.port, again.attempt], [2, 1]);
  });

  it('moves an open tunnel to another port at once, in use or not', () => {
    const connecting = step(initialPlanState, { kind: 'wanted', order: orderOf(1) }, 0);
    const open = step(connecting, { kind: 'connected', serial: connecting.serial }, 10);
    assert.equal(step(open, { kind: 'wanted', order: orderOf(1) }, 20), open);
    // The same password, encrypted again.
    const again = step(open, { kind: 'wanted', order: { ...orderOf(1), credentials: 'other' } }, 20);
    assert.equal(again.kind, 'open');
    const used = step(open, { kind: 'channels', serial: open.serial, change: 1 }, 20);
    for (const state of [open, used]) {
      const moved = step(state, { kind: 'wanted', order: orderOf(2) }, 30);
      assert.ok(moved.kind === 'connecting');
      assert.deepEqual([moved.order.port, moved.attempt], [2, 1]);
    }
  });

  it('follows the newest order when an attempt fails or a link is lost', () => {
    const connecting = step(initialPlanState, { kind: 'wanted', order: orderOf(1) }, 0);
    const newer = step(connecting, { kind: 'wanted', order: orderOf(2) }, 10);
    const next = step(newer, { kind: 'ended', serial: newer.serial, reason: 'refused' }, 20);
    assert.ok(next.kind === 'connecting');
    assert.equal(next.order.port, 2);
  });
});

function followModel(random: SeededRandom): void {
  let state = initialPlanState;
  let nowMs = 0;
  const model: Model = {
    wanted: undefined,
    alive: undefined,
    isOpen: false,
    openPort: 0,
    channels: 0,
    quietSinceMs: 0,
    dead: [0],
  };
  for (let i = 0; i < 1_000; i += 1) {
    nowMs += random.below(4) === 0 ? random.below(400_000) : random.below(3_000);
    const event = chooseEvent(random, model, state);
    const before = state;
    state = nextPlanState(state, event, { nowMs, random: random.next(), inactivityMs });
    updateModel(model, event, before, state, nowMs);
    assertAgrees(model, state, nowMs, `event ${i}: ${JSON.stringify(event)}`);
  }
}

type Choice = 'wanted' | 'unwanted' | 'due' | 'connected' | 'ended' | 'more' | 'less';

function chooseEvent(random: SeededRandom, { alive, dead }: Model, state: PlanState): PlanEvent {
  const current = alive ?? state.serial;
  // Now and then something of an attempt that was given up long ago.
  const serial = random.below(4) === 0 ? (dead[random.below(dead.length)] ?? 0) : current;
  const kind = random.pick<Choice>([
    'wanted',
    'unwanted',
    'due',
    'due',
    'connected',
    'connected',
    'ended',
    'more',
    'more',
    'less',
  ]);
  switch (kind) {
    case 'wanted':
      return { kind, order: orderOf(1 + random.below(3)) };
    case 'unwanted':
      return random.below(3) === 0 ? { kind } : { kind: 'due' };
    case 'connected':
      return { kind, serial };
    case 'ended':
      return { kind, serial, reason: 'broken' };
    case 'more':
      return { kind: 'channels', serial, change: 1 };
    case 'less':
      return { kind: 'channels', serial, change: -1 };
    case 'due':
      return { kind };
  }
}

function bury(model: Model): void {
  if (model.alive !== undefined) model.dead.push(model.alive);
  Object.assign(model, { alive: undefined, isOpen: false, openPort: 0, channels: 0 });
}

function updateModel(
  model: Model,
  event: PlanEvent,
  before: PlanState,
  after: PlanState,
  nowMs: number,
): void {
  updateWish(model, event, nowMs);
  if ('serial' in event && event.serial === model.alive) updateLink(model, event, before, nowMs);
  // It serves nobody where the server does not listen for us any more.
  if (model.isOpen && model.openPort !== model.wanted?.port) bury(model);
  // A new attempt: the plan may begin one when there is none, and only then.
  if (after.kind === 'connecting' && after.serial !== before.serial) {
    assert.equal(model.alive, undefined, 'a second attempt beside a living one');
    model.alive = after.serial;
  }
}

function updateWish(model: Model, event: PlanEvent, nowMs: number): void {
  if (event.kind === 'wanted') model.wanted = event.order;
  const isIdle = model.isOpen && model.channels === 0 && nowMs - model.quietSinceMs >= inactivityMs;
  if (event.kind === 'unwanted' || (event.kind === 'due' && isIdle)) {
    bury(model);
    model.wanted = undefined;
  }
}

function updateLink(model: Model, event: PlanEvent, before: PlanState, nowMs: number): void {
  if (event.kind === 'ended') bury(model);
  if (event.kind === 'connected' && !model.isOpen) {
    const openPort = before.kind === 'connecting' ? before.order.port : 0;
    Object.assign(model, { isOpen: true, openPort, quietSinceMs: nowMs });
  }
  if (event.kind === 'channels' && model.isOpen) {
    model.channels = Math.max(0, model.channels + event.change);
    model.quietSinceMs = nowMs;
  }
}

function assertAgrees(model: Model, state: PlanState, nowMs: number, where: string): void {
  const expected =
    model.wanted === undefined ? ['closed'] : model.isOpen ? ['open'] : ['connecting', 'waiting'];
  assert.ok(expected.includes(state.kind), `${where}: ${state.kind}, expected ${expected.join(' or ')}`);
  if (state.kind === 'connecting' || state.kind === 'open') assert.equal(state.serial, model.alive, where);
  else assert.equal(model.alive, undefined, where);
  if (state.kind === 'open') {
    assert.equal(state.channels, model.channels, where);
    assert.equal(state.order.port, state.next.port, where);
  }
  if (state.kind === 'connecting' || state.kind === 'open') assert.deepEqual(state.next, model.wanted, where);
  if (state.kind === 'waiting') {
    assert.deepEqual(state.order, model.wanted, where);
    assert.ok(state.dueMs - nowMs <= 5_000, `${where}: waits ${state.dueMs - nowMs} ms`);
  }
  assert.equal(
    dueMsOf(state, inactivityMs) === undefined,
    ['closed', 'connecting'].includes(state.kind) || model.channels > 0,
    where,
  );
}
