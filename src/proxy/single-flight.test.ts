// The one promise of sharing, that no answer is older than its request, under random interleavings; and its bounds.

import assert from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import type { LaneOptions } from './lanes.ts';
import { createSingleFlight } from './single-flight.ts';

/** An engine that answers with the moment at which each call began, when the test says so. */
function createEngine(): {
  now: number;
  calls: { signal: AbortSignal; finish: () => void; fail: (error: Error) => void }[];
  started: number;
  call: (signal: AbortSignal) => Promise<number>;
} {
  const engine = {
    now: 0,
    started: 0,
    calls: [] as { signal: AbortSignal; finish: () => void; fail: (error: Error) => void }[],
    call: (signal: AbortSignal): Promise<number> => {
      const began = engine.now++;
      engine.started += 1;
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      engine.calls.push({ signal, finish: () => resolve(began), fail: reject });
      return promise;
    },
  };
  return engine;
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const options: LaneOptions = { maxKeys: 4, patienceMs: 50, startTimer: () => () => undefined };
const never = new AbortController().signal;

describe('single-flight', () => {
  it('shares one call between requests that wait for it, and none with the call before', async () => {
    const engine = createEngine();
    const flights = createSingleFlight<number>(options);
    const results = [1, 2, 3, 4].map(() => flights.run('k', engine.call, never));
    assert.equal(engine.started, 1);
    engine.calls[0]?.finish();
    await settled();
    assert.equal(engine.started, 2);
    engine.calls[1]?.finish();
    assert.deepEqual(await Promise.all(results), [0, 1, 1, 1]);
  });

  it('never gives an answer that is older than its request, over 300 random histories', async () => {
    let calls = 0;
    let requests = 0;
    for (let seed = 1; seed <= 300; seed += 1) {
      const history = await randomHistory(seed);
      calls += history.calls;
      requests += history.requests;
    }
    assert.ok(calls < requests * 0.6, `${calls} calls for ${requests} requests`);
  });

  it('fails those who shared a call with its error, and none behind them', async () => {
    const engine = createEngine();
    const flights = createSingleFlight<number>(options);
    const first = flights.run('k', engine.call, never);
    const second = flights.run('k', engine.call, never);
    engine.calls[0]?.fail(new Error('engine gone'));
    await assert.rejects(first, /engine gone/);
    await settled();
    engine.calls[1]?.finish();
    assert.equal(await second, 1);
  });

  it('aborts a call only when all who share it have left', async () => {
    const engine = createEngine();
    const flights = createSingleFlight<number>(options);
    const [one, other] = [new AbortController(), new AbortController()];
    const first = flights.run('k', engine.call, never);
    const shared = [flights.run('k', engine.call, one.signal), flights.run('k', engine.call, other.signal)];
    engine.calls[0]?.finish();
    await first;
    await settled();
    one.abort();
    assert.equal(engine.calls[1]?.signal.aborted, false);
    other.abort();
    assert.equal(engine.calls[1]?.signal.aborted, true);
    for (const result of shared) await assert.rejects(result, isCancelled);
  });

  it('does not start a call that nobody waits for any more', async () => {
    const engine = createEngine();
    const flights = createSingleFlight<number>(options);
    const controller = new AbortController();
    const first = flights.run('k', engine.call, never);
    const second = flights.run('k', engine.call, controller.signal);
    controller.abort();
    await assert.rejects(second, isCancelled);
    engine.calls[0]?.finish();
    await first;
    await settled();
    assert.equal(engine.started, 1);
    await assert.rejects(flights.run('k', engine.call, AbortSignal.abort()), isCancelled);
  });

  it('starts the next call beside one that hangs, after its patience', async () => {
    const engine = createEngine();
    let fire: () => void = () => assert.fail('no timer');
    const flights = createSingleFlight<number>({
      ...options,
      startTimer: (delayMs, run) => {
        assert.equal(delayMs, 50);
        fire = run;
        return () => undefined;
      },
    });
    const hanging = flights.run('k', engine.call, never);
    const second = flights.run('k', engine.call, never);
    fire();
    assert.equal(engine.started, 2);
    engine.calls[1]?.finish();
    assert.equal(await second, 1);
    engine.calls[0]?.finish();
    assert.equal(await hanging, 0);
  });

  it('does not share beyond its bound of keys, and has room again afterwards', async () => {
    const engine = createEngine();
    const flights = createSingleFlight<number>(options);
    const results = ['a', 'b', 'c', 'd', 'e', 'e'].map((key) => flights.run(key, engine.call, never));
    assert.equal(engine.started, 6);
    for (const call of engine.calls) call.finish();
    await Promise.all(results);
    await settled();
    void flights.run('e', engine.call, never);
    void flights.run('e', engine.call, never);
    assert.equal(engine.started, 7);
  });
});

/** Requests, answers and timers in random order; every answer is compared with the arrival of its request. */
async function randomHistory(seed: number): Promise<{ calls: number; requests: number }> {
  const random = seeded(seed);
  const engine = createEngine();
  const timers = new Set<() => void>();
  const flights = createSingleFlight<number>({
    ...options,
    startTimer: (_delayMs, run) => {
      timers.add(run);
      return () => timers.delete(run);
    },
  });
  const checks: Promise<void>[] = [];
  const arrive = (): void => {
    const arrived = engine.now++;
    const check = flights.run(`k${Math.floor(random() * 2)}`, engine.call, never).then((began) => {
      assert.ok(began >= arrived, `call of ${began} answered a request of ${arrived}, seed ${seed}`);
    });
    checks.push(check);
  };
  const fireTimer = (): void => {
    const [fire] = timers;
    if (fire === undefined) return;
    timers.delete(fire);
    fire();
  };
  const finishOne = (): void =>
    engine.calls.splice(Math.floor(random() * engine.calls.length), 1)[0]?.finish();
  for (let step = 0; step < 60; step += 1) {
    const action = random();
    if (action < 0.6) arrive();
    else if (action < 0.7) fireTimer();
    else finishOne();
    if (random() < 0.5) await settled();
  }
  await settled();
  while (engine.calls.length > 0) {
    finishOne();
    await settled();
  }
  await Promise.all(checks);
  return { calls: engine.started, requests: checks.length };
}

function isCancelled(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'cancelled';
}

/** A linear congruential generator: the same history on each run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
