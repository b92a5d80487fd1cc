// The order of histories, when they are complete, where a stream goes on from, and what is recognised as known.

import assert from 'node:assert/strict';
import type { StartTimer } from '../timer.ts';
import { Backlog, type BacklogOptions, maxBacklogBytes } from './backlog.ts';
import { type EngineEvent, readEvent } from './event.ts';
import { type Beginning, Position } from './position.ts';
import { maxSeenEvents, SeenEvents } from './seen.ts';
import { selectionOf } from './selection.ts';

const eventAt = (timeNano: number | bigint, more: Readonly<Record<string, unknown>> = {}): EngineEvent => {
  const fields = {
    Type: 'container',
    Action: 'start',
    Actor: { ID: `c${timeNano}`, Attributes: {} },
    ...more,
  };
  return readEvent(Buffer.from(`${JSON.stringify(fields).slice(0, -1)},"timeNano":${timeNano}}`));
};

/** Time that stands until it is moved. */
function createTimers(): { readonly startTimer: StartTimer; pass(ms: number): void; waiting(): number } {
  let nowMs = 0;
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  return {
    startTimer(delayMs, run): () => void {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    pass(ms): void {
      nowMs += ms;
      for (const timer of timers) {
        if (timer.atMs <= nowMs && timers.delete(timer)) timer.run();
      }
    },
    waiting: () => timers.size,
  };
}

describe('backlog', () => {
  const start = (options: Partial<BacklogOptions> = {}) => {
    const given: string[] = [];
    const timers = createTimers();
    const backlog = new Backlog<string>(
      { startTimer: timers.startTimer, emit: (node, { timeNs }) => given.push(`${node}${timeNs}`) },
      { deadlineMs: 2_000, quietMs: 100, ...options },
    );
    return { given, timers, backlog };
  };

  it('gives out in order of time what comes node by node, once all have ended', () => {
    const { given, timers, backlog } = start();
    backlog.begin(['a', 'b', 'c']);
    for (const time of [1, 4, 6]) backlog.add('a', eventAt(time));
    backlog.end('a');
    for (const time of [2, 3, 5]) backlog.add('b', eventAt(time));
    backlog.end('b');
    assert.deepEqual(given, []);
    backlog.end('c');
    assert.deepEqual(given, ['a1', 'b2', 'b3', 'a4', 'b5', 'a6']);
    assert.equal(timers.waiting(), 0);
  });

  it('keeps the order of each node, whatever its times say', () => {
    const { given, backlog } = start();
    backlog.begin(['a', 'b']);
    for (const time of [1_763_796_000_000_000_002n, 1_763_796_000_000_000_000n])
      backlog.add('a', eventAt(time));
    backlog.add('b', eventAt(1_763_796_000_000_000_001n));
    backlog.close();
    assert.deepEqual(
      given.map((text) => text.replace('176379600000000000', '')),
      ['b1', 'a2', 'a0'],
    );
  });

  it('takes a node that is quiet for complete, and waits while it is not', () => {
    const { given, timers, backlog } = start();
    backlog.begin(['a', 'b']);
    backlog.end('b');
    timers.pass(90);
    backlog.add('a', eventAt(1));
    timers.pass(90);
    assert.deepEqual(given, []);
    timers.pass(10);
    assert.deepEqual(given, ['a1']);
  });

  it('waits for nobody beyond the deadline, nor for quiet where the end is told', () => {
    const { given, timers, backlog } = start({ quietMs: undefined });
    backlog.begin(['a', 'b']);
    backlog.add('a', eventAt(1));
    timers.pass(1_999);
    assert.deepEqual(given, []);
    timers.pass(1);
    assert.deepEqual(given, ['a1']);
    backlog.add('b', eventAt(0));
    assert.deepEqual(given, ['a1', 'b0']);
  });

  it('holds no more than its bound', () => {
    const { given, backlog } = start();
    backlog.begin(['a', 'b']);
    const long = eventAt(1, { pad: 'x'.repeat(maxBacklogBytes / 4) });
    for (let count = 0; count < 3; count += 1) backlog.add('a', long);
    assert.equal(given.length, 0);
    backlog.add('b', long);
    assert.equal(given.length, 4);
  });

  it('lets nothing out that is dropped, and never holds what comes without a history', () => {
    const { given, timers, backlog } = start();
    backlog.add('a', eventAt(1));
    backlog.begin(['a']);
    backlog.add('a', eventAt(2));
    backlog.add('joined', eventAt(3));
    backlog.drop();
    assert.deepEqual(given, ['a1', 'joined3']);
    assert.equal(timers.waiting(), 0);
  });
});

describe('position', () => {
  const second = 1_000_000_000n;

  it('goes on from shortly before the last event, but not from before the beginning', () => {
    const cases: readonly (readonly [Beginning, bigint | undefined, bigint | undefined])[] = [
      [{ kind: 'live', fromNs: undefined }, undefined, 100n * second],
      [{ kind: 'live', fromNs: 90n * second }, undefined, 90n * second],
      [{ kind: 'live', fromNs: undefined }, 103n * second, 100n * second],
      [{ kind: 'live', fromNs: undefined }, 107n * second, 102n * second],
      // The client's own question, also where it was not answered yet.
      [{ kind: 'history', sinceNs: 50n * second }, undefined, undefined],
      [{ kind: 'history', sinceNs: undefined }, undefined, undefined],
      [{ kind: 'history', sinceNs: 50n * second }, 53n * second, 50n * second],
      [{ kind: 'history', sinceNs: undefined }, 53n * second, 48n * second],
    ];
    for (const [beginning, lastNs, expected] of cases) {
      const position = new Position(beginning);
      position.begin(100n * second);
      if (lastNs !== undefined) position.accept(eventAt(lastNs));
      position.begin(200n * second);
      assert.equal(position.resumeNs(), expected);
    }
  });

  it('takes nothing for new that is from before the stream, once it is repeated', () => {
    const at = (ms: bigint): EngineEvent => eventAt(100n * second + ms * 1_000_000n);
    const position = new Position({ kind: 'live', fromNs: undefined });
    position.begin(100n * second);
    // Engines tell two events of the same moment in either order.
    assert.deepEqual(
      [at(500n), at(499n)].map((event) => position.accept(event)),
      [true, true],
    );
    position.begin(110n * second);
    assert.deepEqual(
      [100n, 499n, 500n, 700n, 1_700n].map((ms) => position.accept(at(ms))),
      [false, false, false, true, true],
    );
    // An engine whose clock was set back is not silenced.
    assert.equal(position.accept(at(-3_600_000n)), true);
    const asked = new Position({ kind: 'history', sinceNs: 99n * second });
    asked.begin(100n * second);
    asked.accept(at(500n));
    asked.begin(110n * second);
    assert.equal(asked.accept(at(100n)), true);
  });

  it('is moved by events of the node only: those of the swarm have the time of another clock', () => {
    const position = new Position({ kind: 'history', sinceNs: undefined });
    position.accept(eventAt(10n * second));
    position.accept(eventAt(3_600n * second, { scope: 'swarm' }));
    assert.equal(position.resumeNs(), 5n * second);
  });
});

describe('seen events', () => {
  it('knows an event again, and tells those apart that differ in anything', () => {
    const seen = new SeenEvents();
    const events = [
      eventAt(1),
      eventAt(2, { Actor: { ID: 'c1' } }),
      eventAt(1, { Action: 'die' }),
      eventAt(1, { Type: 'image' }),
      eventAt(1, { Actor: { ID: 'd' } }),
    ];
    for (const event of events) assert.equal(seen.add(event), true);
    for (const event of events) assert.equal(seen.add(event), false);
  });

  it('knows a removal from the swarm by its id: each manager takes a time of its own', () => {
    const seen = new SeenEvents();
    const removal = (timeNano: number, scope: string) =>
      eventAt(timeNano, { scope, Type: 'service', Action: 'remove', Actor: { ID: 's' } });
    assert.equal(seen.add(removal(1, 'swarm')), true);
    assert.equal(seen.add(removal(2, 'swarm')), false);
    assert.equal(seen.add(removal(1, 'local')), true);
    assert.equal(seen.add(removal(2, 'local')), true);
  });

  it('forgets what cannot be repeated any more', () => {
    const seen = new SeenEvents();
    for (const time of [1, 2, 3, 4]) seen.add(eventAt(time));
    seen.forgetBefore(3n);
    assert.equal(seen.size, 2);
    assert.equal(seen.add(eventAt(3)), false);
  });

  it('forgets the oldest beyond its bound', () => {
    const seen = new SeenEvents();
    for (let time = 0; time < maxSeenEvents; time += 1) seen.add(eventAt(time));
    assert.equal(seen.add(eventAt(0)), false);
    seen.add(eventAt(maxSeenEvents));
    assert.equal(seen.add(eventAt(1)), false);
    assert.equal(seen.add(eventAt(0)), true);
  });
});

describe('selection', () => {
  it('chooses nodes for their own events, and objects for those of the swarm', () => {
    const { wants, asks, wantsOfSwarm } = selectionOf(new Set(['node-2']));
    assert.deepEqual([wants('node-2'), wants('node-1'), wants('node-22')], [true, false, false]);
    assert.equal(asks({ nodeName: 'node-2', role: 'worker' }), true);
    assert.equal(asks({ nodeName: 'node-1', role: 'manager' }), true);
    assert.equal(asks({ nodeName: 'node-1', role: undefined }), false);
    assert.equal(wantsOfSwarm({ actorId: 'x', actorName: 'node-2' }), true);
    assert.equal(wantsOfSwarm({ actorId: 'node-2x', actorName: '' }), true);
    assert.equal(wantsOfSwarm({ actorId: 'x', actorName: 'a-node-2' }), false);
  });

  it('chooses everything where nothing is chosen', () => {
    const { wants, asks, wantsOfSwarm } = selectionOf(undefined);
    assert.ok(
      wants('a') && asks({ nodeName: 'a', role: 'worker' }) && wantsOfSwarm({ actorId: '', actorName: '' }),
    );
  });
});
