// What a stranger or a confused member can say of members, alive or dead, and how little comes of it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { MemberRecord } from './cluster.ts';
import type { Detector } from './detector.ts';
import { maxExchangeRounds } from './exchange.ts';
import { claimOf, deadMemoryMs, isAbout, leftMemoryMs } from './membership.ts';
import { type EntryState, parseAnswer, parseQuestion, type StateLine } from './messages.ts';
import { createIdentity, maxGenerationAheadMs, type SignedText, signRecord } from './record.ts';
import { nameOf, SimulatedCluster } from './simulated-cluster.ts';
import { tickMs } from './suspicion.ts';

const stranger = createIdentity(randomBytes(32));

/** A line of the full state about a record that the stranger signed. */
function strangersLine(record: MemberRecord, state: EntryState, ageMs: number): StateLine {
  const body = { record: { ...record, peerId: stranger.peerId }, leaving: false, swarmId: undefined };
  const { text, signature } = signRecord(body, stranger);
  return { text, signature, state, ageMs };
}

/** What a detector tells of itself. */
function signedSelf(detector: Detector): SignedText {
  const own = detector.entries().find(({ signed }) => signed.record.peerId === detector.self().peerId);
  assert.ok(own !== undefined);
  return own.signed;
}

/** Whether an agent has this very version of a member in its table. */
function holds(lab: SimulatedCluster, index: number, record: MemberRecord): boolean {
  const { detector } = lab.agent(index);
  return detector.entries().some(({ signed }) => isAbout(claimOf(record), signed.record));
}

/** All are there, and apart by no more than what a detector takes to hear of a death. */
function assertClose(times: readonly (number | undefined)[], withinMs: number, what: string): void {
  const known = times.filter((time) => time !== undefined);
  assert.equal(known.length, times.length, `${what}: ${times.join()}`);
  assert.ok(Math.max(...known) - Math.min(...known) <= withinMs, `${what}: ${times.join()}`);
}

async function cutAndHeal(lab: SimulatedCluster, index: number, others: readonly number[]): Promise<void> {
  lab.isolate(index, others);
  await lab.until(6_000, () => others.every((other) => lab.sees(other, others)), 'death');
  lab.network.heal();
  await lab.until(5_000, () => lab.allSee([index, ...others]), 'return');
}

describe('false claims', function () {
  this.timeout(60_000);

  it('lets no question about a version that never was count a member beyond what others accept', async () => {
    const lab = new SimulatedCluster(1);
    await lab.startAll(3);
    const victim = lab.agent(0).detector;
    const suspect = { ...claimOf(victim.self()), incarnation: Number.MAX_SAFE_INTEGER };
    const answer = await victim.onQuestion(stranger.peerId, { kind: 'ping', suspect });
    assert.equal(answer.kind === 'ack' && answer.record !== undefined, true, 'it hears what the version is');
    assert.equal(victim.self().incarnation, 0, 'nothing to refute');
    void lab.agent(1).network.publish({ kind: 'dead', claim: suspect });
    void lab.agent(1).network.publish({ kind: 'suspect', claim: suspect });
    await lab.time.advance(5_000);
    lab.assertOneView([0, 1, 2], 'afterwards');
    await cutAndHeal(lab, 0, [1, 2]);
  });

  it('refutes the suspicion of its very version at once', async () => {
    const lab = new SimulatedCluster(1);
    await lab.startAll(2);
    const victim = lab.agent(0).detector;
    const suspect = claimOf(victim.self());
    await victim.onQuestion(stranger.peerId, { kind: 'ping', suspect });
    assert.equal(victim.self().incarnation, suspect.incarnation + 1);
    await victim.onQuestion(stranger.peerId, { kind: 'ping', suspect });
    assert.equal(victim.self().incarnation, suspect.incarnation + 1, 'an older one is refuted already');
  });

  it('refutes a first claim at once, and signs no more often than it ticks, however often it is accused', async () => {
    const lab = new SimulatedCluster(1);
    await lab.startAll(2);
    const victim = lab.agent(0).detector;
    const first = victim.self().incarnation;
    const sync = (): Promise<unknown> => {
      const { text, signature } = signedSelf(victim);
      const lines: readonly StateLine[] = [{ text, signature, state: 'dead', ageMs: 0 }];
      return victim.onQuestion(stranger.peerId, { kind: 'sync', lines });
    };
    for (let round = 0; round < 100; round++) {
      await victim.onQuestion(stranger.peerId, { kind: 'ping', suspect: claimOf(victim.self()) });
      assert.ok(victim.self().incarnation > first);
      await sync();
    }
    assert.equal(victim.self().incarnation, first + 1);
    // The last claim was about this version: it is refuted with the next tick, whether or not anybody asks again.
    await lab.time.advance(tickMs);
    assert.equal(victim.self().incarnation, first + 2);
    await lab.time.advance(1_000);
    assert.equal(victim.self().incarnation, first + 2);
    lab.assertOneView([0, 1], 'afterwards');
  });

  it('outlives a list of later starts of its engine in two steps', async () => {
    const lab = new SimulatedCluster(1);
    await lab.startAll(2);
    const victim = lab.agent(0).detector;
    const { generation } = victim.self();
    const lines = Array.from({ length: 100 }, (_, index) =>
      strangersLine({ ...victim.self(), generation: generation + 1_000_000 + index }, 'dead', 0),
    );
    await victim.onQuestion(stranger.peerId, { kind: 'sync', lines });
    assert.equal(victim.self().generation, generation + 1_000_001);
    await lab.time.advance(tickMs);
    assert.equal(victim.self().generation, generation + 1_000_100);
    await lab.until(500, () => holds(lab, 1, victim.self()), 'the other knows it');
  });

  it('does not exchange without end with a peer that calls it dead in each answer', async () => {
    const lab = new SimulatedCluster(1);
    await lab.startAll(2);
    const victim = lab.agent(0);
    const network = lab.network.join(stranger.peerId);
    let asked = 0;
    await network.start(
      { address: '10.0.0.99', port: 7946 },
      {
        onLinkUp: () => undefined,
        onLinkDown: () => undefined,
        onRumor: () => undefined,
        onQuestion: async (_, question) => {
          if (question.kind !== 'sync') return { kind: 'reached', reached: false };
          asked += 1;
          // As from afar: there is a tick between any two answers.
          await new Promise<void>((resolve) => void lab.time.after(2 * tickMs, resolve));
          const { text, signature } = signedSelf(victim.detector);
          return { kind: 'sync', lines: [{ text, signature, state: 'dead', ageMs: 0 }] };
        },
      },
    );
    victim.network
      .dial({ address: '10.0.0.99', port: 7946 }, { peerId: undefined, timeoutMs: 1_000, fresh: false })
      .catch(() => undefined);
    await lab.time.advance(4_000);
    assert.ok(asked > 1 && asked <= maxExchangeRounds, `${asked} full states`);
    lab.assertOneView([0, 1], 'afterwards');
  });

  it('outlives a record of its engine with the latest start that anybody accepts', async () => {
    const lab = new SimulatedCluster(2);
    const wall = lab.time.clock({ offsetMs: 0 });
    await lab.startAll(3);
    const victim = lab.agent(0);
    const isItself = (index: number): boolean => holds(lab, index, victim.detector.self());
    for (const generation of [2 ** 52, wall.wallMs() + maxGenerationAheadMs]) {
      const rival = { ...victim.detector.self(), generation, address: '10.0.0.99' };
      const lines = [strangersLine(rival, 'alive', 0)];
      for (const index of [0, 1, 2]) {
        await lab.agent(index).detector.onQuestion(stranger.peerId, { kind: 'sync', lines });
      }
      // What follows when nobody answers at the address that the record names.
      for (const known of victim.rivals.splice(0)) victim.detector.outlive(known.generation);
      await lab.until(5_000, () => isItself(1) && isItself(2) && lab.allSee([0, 1, 2]), `${generation}`);
    }
    await cutAndHeal(lab, 0, [1, 2]);
  });

  it('outlives a predecessor that started with the same reading of the clock', async () => {
    const lab = new SimulatedCluster(3);
    await lab.startAll(3);
    const before = lab.agent(1).detector;
    for (const role of ['manager', 'worker', 'manager']) {
      if (role === 'manager') lab.managers.add(1);
      else lab.managers.delete(1);
      before.refresh();
    }
    await lab.time.advance(1_000);
    lab.kill(1);
    lab.wall.set(1, { offsetMs: -lab.time.nowMs() });
    const { detector } = await lab.start(1);
    assert.equal(detector.self().generation, before.self().generation);
    assert.equal(detector.self().incarnation, before.self().incarnation - 3);
    lab.discover(1, [0, 2]);
    const isKnown = (index: number): boolean => holds(lab, index, detector.self());
    await lab.until(2_000, () => lab.allSee([0, 1, 2]) && isKnown(0) && isKnown(2), 'return');
    assert.ok(detector.self().generation > before.self().generation);
  });

  it('does not gossip a dead member as one that lives, and passes on since when it is dead', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const lab = new SimulatedCluster(seed);
      await lab.startAll(4);
      lab.isolate(3, [0, 1, 2]);
      await lab.time.advance(10_000);
      lab.agent(2).changes.length = 0;
      // Two restart and know nothing; they hear of the dead one from the third, one after the other.
      lab.kill(0);
      lab.kill(1);
      await lab.time.advance(3_000);
      await lab.start(0);
      await lab.start(1);
      lab.discover(0, [1]);
      await lab.time.advance(20);
      lab.discover(0, [2]);
      await lab.time.advance(8_000);
      const deadSinceMs = [0, 1, 2].map((index) => {
        const { detector, changes } = lab.agent(index);
        if (index < 2)
          assert.ok(!changes.flat().includes(nameOf(3)), `seed ${seed}: ${nameOf(index)} saw it`);
        const entry = detector.entries().find(({ signed }) => signed.record.nodeName === nameOf(3));
        return entry?.state === 'dead' ? entry.sinceWallMs : undefined;
      });
      assertClose(deadSinceMs, 2_000, `seed ${seed}: dead since`);
    }
  });

  it('keeps a dead member dead when it hears that a later version of it is dead too', async () => {
    const lab = new SimulatedCluster(5);
    await lab.startAll(3);
    const { detector } = lab.agent(0);
    const gone = { ...detector.self(), engineId: 'engine-x', nodeName: 'node-x', address: '10.0.0.99' };
    for (const [incarnation, ageMs] of [60_000, 30_000].entries()) {
      const lines = [strangersLine({ ...gone, incarnation }, 'dead', ageMs)];
      await detector.onQuestion(stranger.peerId, { kind: 'sync', lines });
      await lab.time.advance(2_000);
    }
    for (const { changes } of lab.agents.values()) assert.ok(!changes.flat().includes('node-x'));
    const entry = detector.entries().find(({ signed }) => signed.record.engineId === 'engine-x');
    assert.deepEqual([entry?.state, entry?.signed.record.incarnation], ['dead', 1]);
    assertClose([entry?.sinceWallMs, lab.time.clock({ offsetMs: 0 }).wallMs() - 32_000], 100, 'dead since');
  });

  it('tells the full state in numbers that others read, whatever age it was told', async () => {
    const lab = new SimulatedCluster(6);
    await lab.startAll(2);
    const { detector } = lab.agent(0);
    const gone = { ...detector.self(), engineId: 'engine-x', nodeName: 'node-x', address: '10.0.0.99' };
    const line = strangersLine(gone, 'dead', Number.MAX_SAFE_INTEGER);
    const parsed = parseQuestion({ kind: 'sync', lines: [line] });
    assert.deepEqual(parsed, { kind: 'sync', lines: [{ ...line, ageMs: deadMemoryMs }] });
    const unparsed = { ...gone, engineId: 'engine-y', nodeName: 'node-y' };
    const lines = [strangersLine(unparsed, 'dead', Number.MAX_SAFE_INTEGER)];
    for (const question of [parsed, { kind: 'sync', lines } as const]) {
      await detector.onQuestion(stranger.peerId, question);
      await lab.time.advance(300);
      const answer = await detector.onQuestion(stranger.peerId, { kind: 'sync', lines: [] });
      assert.deepEqual(parseAnswer(JSON.parse(JSON.stringify(answer))), answer);
    }
    // Too old to be kept.
    await lab.time.advance(60_000);
    assert.ok(!detector.entries().some(({ signed }) => signed.record.engineId === 'engine-x'));
  });

  it('forgets who left at one time, however often it is told to those who join', async () => {
    const lab = new SimulatedCluster(4);
    await lab.startAll(3);
    const leaving = lab.agent(2).detector.leave();
    await lab.time.advance(600);
    await leaving;
    lab.kill(2);
    const knowing = (): readonly number[] =>
      [...lab.agents.keys()].filter((index) =>
        lab
          .agent(index)
          .detector.entries()
          .some(({ state }) => state === 'left'),
      );
    for (let joiner = 3; joiner < 6; joiner++) {
      await lab.time.advance(150_000);
      await lab.start(joiner);
      lab.discover(joiner, [joiner - 1, 0]);
      await lab.time.advance(2_000);
      assert.ok(knowing().includes(joiner), `${nameOf(joiner)} was told`);
    }
    await lab.time.advance(leftMemoryMs - 3 * 152_000 + 60_000);
    assert.deepEqual(knowing(), []);
  });
});
