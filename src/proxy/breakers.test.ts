// Breakers over a view that changes, with a clock that the test moves and probes that it answers.

import assert from 'node:assert/strict';
import { setImmediate as tick } from 'node:timers/promises';
import { createViews, memberOf } from '../../test/support/fake-peer.ts';
import type { Member } from '../cluster/cluster.ts';
import { silentLogger } from '../log.ts';
import { breakerDefaults } from './breaker.ts';
import { createBreakers, type GoneReason } from './breakers.ts';

function createBench(others: readonly Member[]) {
  const views = createViews(others);
  const timers = new Set<{ atMs: number; run: () => void }>();
  const probes: { member: Member; signal: AbortSignal; pass: () => void; fail: () => void }[] = [];
  let nowMs = 50_000;
  const breakers = createBreakers({
    ...views,
    log: silentLogger,
    now: () => nowMs,
    startTimer: (delayMs, run) => {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    probe: (member, { signal }) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      probes.push({ member, signal, pass: resolve, fail: () => reject(new Error('refused')) });
      return promise;
    },
  });
  breakers.start();
  const advance = async (byMs: number): Promise<void> => {
    nowMs += byMs;
    for (const timer of timers) {
      if (timer.atMs > nowMs) continue;
      timers.delete(timer);
      timer.run();
    }
    await tick();
  };
  return { views, breakers, probes, timers, advance };
}

describe('breakers', () => {
  const member = memberOf({ nodeName: 'node-2' });
  const other = memberOf({ nodeName: 'node-3' });

  it('ends the waits in progress when it opens, each once, and only those for that member', () => {
    const { breakers } = createBench([member, other]);
    const told: string[] = [];
    const note = (who: string) => (reason: GoneReason) => void told.push(`${who} ${reason}`);
    breakers.watch(member, note('a'));
    breakers.watch(member, note('b'));
    breakers.watch(member, note('left'))();
    breakers.watch(other, note('c'));
    breakers.failed(member, 'timeout');
    breakers.failed(member, 'timeout');
    assert.deepEqual(told, ['a breaker-open', 'b breaker-open']);
    assert.equal(breakers.openSince(member), 50_000);
    assert.equal(breakers.openSince(other), undefined);
  });

  it('probes in the background until one passes, and one at a time', async () => {
    const { breakers, probes, advance } = createBench([member]);
    breakers.failed(member, 'refused');
    await advance(breakerDefaults.probeIntervalMs - 1);
    assert.equal(probes.length, 0);
    await advance(1);
    assert.equal(probes.length, 1);
    await advance(10_000);
    assert.equal(probes.length, 1);
    probes[0]?.fail();
    await advance(0);
    await advance(breakerDefaults.probeIntervalMs);
    assert.equal(probes.length, 2);
    assert.equal(breakers.openSince(member), 50_000);
    probes[1]?.pass();
    await advance(0);
    assert.equal(breakers.openSince(member), undefined);
    await advance(10_000);
    assert.equal(probes.length, 2);
  });

  it('ends the waits for a member that died or left, and forgets it', async () => {
    const { views, breakers, probes, timers, advance } = createBench([member, other]);
    const told: GoneReason[] = [];
    breakers.watch(member, (reason) => told.push(reason));
    breakers.failed(other, 'refused');
    await advance(500);
    views.change([], [{ nodeName: 'node-2', engineId: member.record.engineId, reason: 'dead', sinceMs: 1 }]);
    assert.deepEqual(told, ['dead']);
    assert.equal(probes[0]?.signal.aborted, true);
    assert.equal(timers.size, 0);
    breakers.watch(member, (reason) => told.push(reason));
    assert.deepEqual(told, ['dead', 'dead']);
    breakers.failed(member, 'timeout');
    assert.equal(timers.size, 0);
    views.change([member]);
    assert.equal(breakers.openSince(member), undefined);
  });

  it('probes a restarted agent at once, at its new address, and ignores the probe of the old one', async () => {
    const { views, breakers, probes, advance } = createBench([member]);
    breakers.failed(member, 'refused');
    await advance(500);
    const restarted = memberOf({ ...member.record, peerId: 'new', address: '127.0.0.2' });
    views.change([restarted]);
    await advance(0);
    assert.equal(probes.length, 2);
    assert.equal(probes[0]?.signal.aborted, true);
    assert.equal(probes[1]?.member.record.address, '127.0.0.2');
    probes[0]?.pass();
    await advance(0);
    assert.notEqual(breakers.openSince(restarted), undefined);
    probes[1]?.pass();
    await advance(0);
    assert.equal(breakers.openSince(restarted), undefined);
  });

  it('stops with nothing left running', async () => {
    const { views, breakers, probes, timers, advance } = createBench([member, other]);
    breakers.failed(member, 'refused');
    await advance(500);
    breakers.failed(other, 'refused');
    breakers.stop();
    breakers.stop();
    assert.equal(probes[0]?.signal.aborted, true);
    assert.equal(timers.size, 0);
    assert.equal(views.listeners(), 0);
  });
});
