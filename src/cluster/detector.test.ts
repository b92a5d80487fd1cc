// The membership protocol on a whole cluster in memory: convergence, deaths, returns and restarts under a moved clock.
// Every random choice comes from a seed that the failure message names.

import assert from 'node:assert/strict';
import { isLive } from './membership.ts';
import { addressOf, nameOf, SimulatedCluster } from './simulated-cluster.ts';

describe('detector', function () {
  this.timeout(60_000);

  it('drops a black-holed member from every other view within 3 s', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const lab = new SimulatedCluster(seed);
      await lab.startAll(3);
      await lab.time.advance(lab.random() * 2_000);
      lab.isolate(2, [0, 1]);
      const tookMs = await lab.until(
        3_000,
        () => lab.sees(0, [0, 1]) && lab.sees(1, [0, 1]),
        `seed ${seed}: death`,
      );
      assert.ok(tookMs <= 2_700, `seed ${seed}: took ${tookMs} ms`);
      await lab.until(1_500, () => lab.sees(2, [2]), `seed ${seed}: the cut one sees itself alone`);
    }
  });

  it('drops a killed member in less than 1.5 s, because its port refuses', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const lab = new SimulatedCluster(seed);
      await lab.startAll(5);
      lab.kill(1);
      await lab.until(1_500, () => lab.allSee([0, 2, 3, 4]), `seed ${seed}: death`);
    }
  });

  it('drops a black-holed member also where there are only two', async () => {
    const lab = new SimulatedCluster(7);
    await lab.startAll(2);
    lab.isolate(1, [0]);
    await lab.until(3_000, () => lab.sees(0, [0]) && lab.sees(1, [1]), 'death');
  });

  it('has a member back in every view within 2 s after a cut ends', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const lab = new SimulatedCluster(seed);
      await lab.startAll(4);
      lab.isolate(3, [0, 1, 2]);
      await lab.time.advance(20_000 + lab.random() * 1_000);
      assert.ok(lab.sees(3, [3]));
      for (const index of [0, 1, 2]) lab.agent(index).changes.length = 0;
      lab.network.heal();
      await lab.until(2_000, () => lab.allSee([0, 1, 2, 3]), `seed ${seed}: return`);
      // It comes with the belief that the others are dead, which must not spread among them.
      for (const index of [0, 1, 2]) {
        const views = lab.agent(index).changes;
        assert.ok(
          views.every((nodes) => nodes.length >= 3),
          `seed ${seed}: ${nameOf(index)} lost a healthy member`,
        );
      }
    }
  });

  it('comes to one view after a partition into halves', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const lab = new SimulatedCluster(seed);
      await lab.startAll(6);
      for (const index of [0, 1, 2]) lab.isolate(index, [3, 4, 5]);
      await lab.until(
        4_000,
        () => lab.allSee([0, 1, 2]) && lab.allSee([3, 4, 5]),
        `seed ${seed}: two halves`,
      );
      await lab.time.advance(lab.random() * 30_000);
      lab.network.heal();
      await lab.until(5_000, () => lab.allSee([0, 1, 2, 3, 4, 5]), `seed ${seed}: one view`);
    }
  });

  it('keeps a member that two others cannot reach but a third can', async () => {
    const lab = new SimulatedCluster(3);
    await lab.startAll(4);
    lab.network.cut(addressOf(0), addressOf(3));
    await lab.time.advance(60_000);
    lab.assertOneView([0, 1, 2, 3], 'after a minute');
  });

  it('declares nobody dead in ten minutes of 5 % packet loss', async () => {
    for (let seed = 1; seed <= 2; seed++) {
      const lab = new SimulatedCluster(seed);
      await lab.startAll(3);
      for (const agent of lab.agents.values()) agent.changes.length = 0;
      lab.network.loss = 0.05;
      await lab.time.advance(600_000);
      lab.assertOneView([0, 1, 2], `seed ${seed}`);
      for (const agent of lab.agents.values()) {
        assert.ok(
          agent.changes.every((nodes) => nodes.length === 3),
          `seed ${seed}: a member vanished for a moment`,
        );
      }
    }
  });

  it('cannot be told that a member is dead while that one answers', async () => {
    const lab = new SimulatedCluster(23);
    await lab.startAll(5);
    for (const agent of lab.agents.values()) agent.changes.length = 0;
    const { peerId, generation, incarnation } = lab.agent(4).detector.self();
    const claim = { peerId, generation, incarnation };
    void lab.agent(0).network.publish({ kind: 'dead', claim });
    const lines = lab
      .agent(1)
      .detector.entries()
      .map(({ signed: { text, signature } }) => ({ text, signature, state: 'dead', ageMs: 0 }) as const);
    const { peerId: target } = lab.agent(2).detector.self();
    await Promise.all([
      lab.agent(1).network.ask(target, { kind: 'sync', lines }, 500),
      lab.time.advance(5_000),
    ]);
    for (const [index, agent] of lab.agents) {
      assert.ok(
        agent.changes.every((nodes) => nodes.length === 5),
        `${nameOf(index)} believed it`,
      );
    }
    assert.ok(lab.agent(4).detector.self().incarnation > incarnation, 'it refuted the claim');
  });

  it('drops a member at once when it leaves, and does not count it as dead', async () => {
    const lab = new SimulatedCluster(5);
    await lab.startAll(4);
    const leaving = lab.agent(2).detector.leave();
    await lab.until(100, () => [0, 1, 3].every((index) => lab.sees(index, [0, 1, 3])), 'leave');
    await lab.time.advance(600);
    await leaving;
    lab.kill(2);
    await lab.time.advance(5_000);
    for (const index of [0, 1, 3]) {
      const states = lab
        .agent(index)
        .detector.entries()
        .map((entry) => entry.state);
      assert.ok(!states.includes('dead'), `${nameOf(index)} counts nobody as dead`);
    }
  });

  it('replaces a member by its restart, with the old identity or a new one', async () => {
    for (const fresh of [false, true]) {
      const lab = new SimulatedCluster(9);
      await lab.startAll(3);
      const before = lab.agent(1).detector.self();
      lab.kill(1);
      await lab.time.advance(300);
      await lab.start(1, { freshIdentity: fresh });
      lab.discover(1, [0, 2]);
      const isReplaced = (index: number): boolean =>
        lab
          .agent(index)
          .detector.entries()
          .some((entry) => {
            const { engineId, generation } = entry.signed.record;
            return engineId === before.engineId && generation > before.generation && isLive(entry);
          });
      await lab.until(5_000, () => lab.allSee([0, 1, 2]) && isReplaced(0) && isReplaced(2), 'replacement');
      await lab.time.advance(10_000);
      assert.ok(lab.allSee([0, 1, 2]), 'no ghost of the old process');
    }
  });

  it('outlives its predecessor although the clock stepped back a day', async () => {
    const lab = new SimulatedCluster(11);
    await lab.startAll(3);
    const before = lab.agent(1).detector.self();
    lab.kill(1);
    await lab.time.advance(5_000);
    lab.wall.set(1, { offsetMs: -86_400_000 });
    await lab.start(1, { freshIdentity: true });
    lab.discover(1, [0, 2]);
    await lab.until(2_000, () => lab.allSee([0, 1, 2]), 'return');
    assert.ok(lab.agent(1).detector.self().generation > before.generation);
  });

  it('tells of a rival when a later process of the same engine joins, and everybody prefers that one', async () => {
    const lab = new SimulatedCluster(13);
    await lab.startAll(3);
    const first = lab.agent(1);
    // The later process has its own container, so its own address; the first one still runs.
    lab.wall.set(9, { offsetMs: -3_600_000 });
    const twin = await lab.start(9, { engine: 1 });
    lab.discover(9, [0, 2]);
    const prefersTwin = (index: number): boolean =>
      lab
        .agent(index)
        .detector.entries()
        .some((entry) => entry.signed.record.address === addressOf(9));
    await lab.until(
      5_000,
      () => prefersTwin(0) && prefersTwin(2) && first.rivals.length > 0,
      'the later process wins',
    );
    assert.equal(twin.rivals.length, 0, 'the later process does not step down');
  });

  it('takes its engine back from a newer record whose process is gone', async () => {
    const lab = new SimulatedCluster(25);
    await lab.startAll(3);
    // A process with a clock far ahead was here for a moment, and nobody saw it end.
    lab.wall.set(9, { offsetMs: 86_400_000 });
    await lab.start(9, { engine: 1 });
    lab.discover(9, [0, 2]);
    await lab.until(5_000, () => lab.agent(1).rivals.length > 0, 'the rival shows');
    const [rival] = lab.agent(1).rivals;
    assert.ok(rival !== undefined);
    lab.kill(9);
    lab.agent(1).detector.outlive(rival.generation);
    const isBack = (index: number): boolean =>
      lab
        .agent(index)
        .detector.entries()
        .some((entry) => entry.signed.record.address === addressOf(1) && isLive(entry));
    await lab.until(2_000, () => isBack(0) && isBack(2), 'the older one again');
    await lab.time.advance(5_000);
    lab.assertOneView([0, 1, 2], 'afterwards');
  });

  it('refuses a member of another Swarm, however well it is signed', async () => {
    const lab = new SimulatedCluster(27);
    for (const index of [0, 1]) await lab.start(index, { swarmId: 'ours' });
    await lab.start(2, { swarmId: 'theirs' });
    for (const index of [0, 1, 2]) lab.discover(index, [0, 1]);
    await lab.until(5_000, () => lab.allSee([0, 1]), 'ours');
    await lab.time.advance(10_000);
    assert.ok(lab.allSee([0, 1]) && lab.sees(2, [2]));
    assert.ok(!lab.agent(0).network.links().includes(lab.agent(2).detector.self().peerId), 'it is cut off');
  });

  it('publishes changed facts as a new incarnation', async () => {
    const lab = new SimulatedCluster(15);
    await lab.startAll(3);
    const agent = await lab.start(4);
    lab.discover(4, [0, 1, 2]);
    await lab.until(2_000, () => lab.sees(0, [0, 1, 2, 4]), 'join');
    lab.managers.add(4);
    agent.detector.refresh();
    await lab.until(200, () => [0, 1, 2].every((index) => lab.roleAt(index, 4) === 'manager'), 'promotion');
  });

  it('tells a promotion at once to a member whose gossip has not begun', async () => {
    const lab = new SimulatedCluster(16);
    await lab.startAll(3);
    lab.network.deaf.add(lab.agent(1).address);
    lab.managers.add(2);
    lab.agent(2).detector.refresh();
    await lab.until(100, () => [0, 1].every((index) => lab.roleAt(index, 2) === 'manager'), 'promotion');
  });

  it('does not blame others after it was itself held up', async () => {
    const lab = new SimulatedCluster(17);
    await lab.startAll(3);
    const held = lab.agent(0);
    held.changes.length = 0;
    held.detector.stop();
    await lab.time.advance(2_000);
    held.detector.start();
    await lab.time.advance(3_000);
    lab.assertOneView([0, 1, 2], 'after the hold-up');
    assert.ok(held.changes.every((nodes) => nodes.length === 3));
  });

  it('converges from any schedule of cuts, crashes, restarts and clock steps', async () => {
    for (let seed = 100; seed < 112; seed++) {
      const lab = new SimulatedCluster(seed);
      const all = [...Array(6).keys()];
      await lab.startAll(6);
      for (let step = 0; step < 12; step++) {
        await misfortune(lab, all);
        await lab.time.advance(lab.random() * 6_000);
      }
      lab.network.heal();
      lab.network.loss = 0;
      for (const index of all) {
        if (!lab.agents.has(index)) await lab.start(index, { freshIdentity: lab.random() < 0.5 });
      }
      for (const index of all) lab.discover(index, all);
      await lab.until(5_000, () => lab.allSee(all), `seed ${seed}: one view`);
      await lab.time.advance(5_000);
      lab.assertOneView(all, `seed ${seed}: stays`);
    }
  });

  it('works beyond the size up to which every pair has a link', async () => {
    const lab = new SimulatedCluster(21);
    const all = [...Array(36).keys()];
    for (const index of all) await lab.start(index);
    // Each finds a few others only, as with seeds; the rest comes by exchange and gossip.
    for (const index of all) lab.discover(index, [0, (index * 7 + 1) % 36]);
    await lab.until(5_000, () => lab.allSee(all), 'one view');
    await lab.time.advance(3_000);
    assert.ok(all.slice(1).every((index) => lab.agent(index).network.links().length < 35));
    for (const index of all) lab.isolate(35, [index]);
    const rest = all.filter((index) => index !== 35);
    await lab.until(3_000, () => rest.every((index) => lab.sees(index, rest)), 'death');
    await lab.time.advance(5_000);
    for (const index of rest) lab.agent(index).changes.length = 0;
    lab.network.heal();
    await lab.until(2_500, () => lab.allSee(all), 'return');
    assert.ok(rest.every((index) => lab.agent(index).changes.every((nodes) => nodes.length >= 35)));
  });

  it('leaves no timer behind', async () => {
    const lab = new SimulatedCluster(19);
    await lab.startAll(3);
    for (const index of [0, 1, 2]) lab.kill(index);
    await lab.time.advance(10_000);
    assert.equal(lab.time.pending(), 0);
  });
});

/** One random event. */
async function misfortune(lab: SimulatedCluster, all: readonly number[]): Promise<void> {
  const pick = (): number => Math.floor(lab.random() * all.length);
  const victim = pick();
  const kind = Math.floor(lab.random() * 6);
  if (kind === 0) lab.network.cut(addressOf(victim), addressOf(pick()));
  if (kind === 1) lab.isolate(victim, all);
  if (kind === 2) lab.network.heal();
  if (kind === 3 && lab.agents.has(victim)) lab.kill(victim);
  if (kind === 4 && !lab.agents.has(victim)) {
    lab.wall.set(victim, { offsetMs: (lab.random() - 0.5) * 7_200_000 });
    await lab.start(victim, { freshIdentity: lab.random() < 0.5 });
    lab.discover(victim, all);
  }
  if (kind === 5) lab.network.loss = lab.random() * 0.1;
}
