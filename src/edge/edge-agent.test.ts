// Edge mode over a Portainer-like server with time moved by hand: what a good poll sets off, that a failing one sets off
// nothing, and what losing the leadership ends.

import assert from 'node:assert/strict';
import { createTestClock, type TestClock } from '../../test/support/edge-clock.ts';
import {
  type EdgeFault,
  type EdgeServer,
  startEdgeServer,
} from '../../test/support/edge-server/edge-server.ts';
import { eventually } from '../../test/support/eventually.ts';
import { type RecordedLog, recordLog } from '../../test/support/record-log.ts';
import type { EdgeKeys, ScheduleJob, StackJob, Tunnel, TunnelOrder } from './edge.ts';
import { createEdgeAgent, type EdgeAgent } from './edge-agent.ts';
import { parseEdgeKey } from './edge-key.ts';

interface Fixture extends AsyncDisposable {
  readonly recorded: RecordedLog;
  readonly agent: EdgeAgent;
  readonly server: EdgeServer;
  readonly clock: TestClock;
  readonly opened: readonly TunnelOrder[];
  /** How often it was told to close. */
  closed(): number;
  readonly schedules: readonly (readonly ScheduleJob[])[];
  readonly stacks: readonly (readonly StackJob[])[];
  /** Called for each list of stacks, to take its time or to fail. */
  onStacks(work: (signal: AbortSignal) => Promise<void>): void;
  setRole(mayPoll: boolean): void;
  /** Moves time on to the next poll, and waits until it was answered. */
  nextPoll(): Promise<void>;
}

const signal = new AbortController().signal;

async function start(): Promise<Fixture> {
  const server = await startEdgeServer();
  const clock = createTestClock();
  const recorded = recordLog();
  const opened: TunnelOrder[] = [];
  const schedules: (readonly ScheduleJob[])[] = [];
  const stacks: (readonly StackJob[])[] = [];
  let closed = 0;
  let mayPoll = true;
  let onRole = (): void => undefined;
  let work: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  const key = parseEdgeKey(server.key());
  const keys: EdgeKeys = {
    current: () => key,
    associate: () => Promise.resolve(key),
    onAssociated: () => () => undefined,
  };
  // The tunnel has tests of its own; here it is only asked.
  const tunnel: Tunnel = {
    open: (order) => {
      opened.push(order);
    },
    close() {
      closed += 1;
      return Promise.resolve();
    },
    state: () => ({ kind: 'closed', why: 'not-wanted' }),
  };
  const agent = createEdgeAgent(
    {
      keys,
      tunnel,
      schedules: {
        apply(jobs) {
          schedules.push(jobs);
          return Promise.resolve();
        },
      },
      stacks: {
        apply(jobs, _portainer, ending) {
          stacks.push(jobs);
          return work(ending);
        },
      },
      mayPoll: () => mayPoll,
      onRoleChange(listener) {
        onRole = listener;
        return () => undefined;
      },
      isPageOpen: () => false,
      clock,
      random: () => 0.5,
      log: recorded.log,
    },
    {
      edgeId: 'site-1',
      insecure: false,
      mtls: undefined,
      proxies: { http: undefined, https: undefined, except: undefined },
      identity: { agentVersion: '2.23.0', timeZone: 'UTC', updateId: 0 },
      meta: { edgeGroupIds: [], tagIds: [], environmentGroupId: 0 },
    },
  );
  await agent.start(signal);
  return {
    recorded,
    agent,
    server,
    clock,
    opened,
    closed: () => closed,
    schedules,
    stacks,
    onStacks(next) {
      work = next;
    },
    setRole(next) {
      mayPoll = next;
      onRole();
    },
    async nextPoll() {
      const before = server.polls().length;
      // One timer: that of the next poll. A failed one puts it off by one and a half intervals.
      await eventually(() => clock.waiting() === 1);
      clock.advance(10_000);
      await eventually(() => server.polls().length > before && clock.waiting() === 1);
    },
    async [Symbol.asyncDispose]() {
      await agent.stop(signal);
      assert.equal(clock.waiting(), 0, 'no timer is left');
      await eventually(() => server.openConnections() === 0);
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('edge agent', () => {
  it('hands the lists of a good poll on, and what a 304 stands for', async () => {
    await using edge = await start();
    edge.server.say({
      schedules: [{ Id: 2, CronExpression: '* * * * *', Script: '', Version: 1 }],
      stacks: [{ ID: 1, Version: 3 }],
    });
    await edge.nextPoll();
    await edge.nextPoll();
    assert.equal(edge.server.polls()[1]?.status, 304);
    assert.deepEqual(edge.stacks, [[{ id: 1, version: 3 }], [{ id: 1, version: 3 }]]);
    assert.deepEqual(
      edge.schedules.map((jobs) => jobs.map(({ id }) => id)),
      [[2], [2]],
    );
    const state = edge.agent.state();
    assert.equal(state.kind === 'polling' && state.environmentId, 7);
  });

  it('leaves stacks alone of which nothing is said', async () => {
    await using edge = await start();
    edge.server.say({ stacks: null });
    await edge.nextPoll();
    assert.deepEqual([edge.stacks.length, edge.schedules.length], [0, 1]);
  });

  const faults: readonly EdgeFault[] = [
    { kind: 'status', status: 502 },
    { kind: 'status', status: 403 },
    { kind: 'status', status: 404 },
    { kind: 'garbage' },
    { kind: 'truncated' },
    { kind: 'reset' },
  ];
  for (const fault of faults) {
    it(`E11 sets nothing off at ${fault.kind === 'status' ? fault.status : fault.kind}, says why, and goes on afterwards`, async () => {
      await using edge = await start();
      edge.server.say({ stacks: [{ ID: 1, Version: 3 }] });
      await edge.nextPoll();
      const before = [edge.stacks.length, edge.schedules.length, edge.opened.length, edge.closed()];
      edge.server.failWith(() => fault);
      await edge.nextPoll();
      await edge.nextPoll();
      assert.deepEqual(
        [edge.stacks.length, edge.schedules.length, edge.opened.length, edge.closed()],
        before,
      );
      const failed = edge.agent.state();
      assert.ok(failed.kind === 'polling' && failed.failure !== undefined && failed.lastGoodMs !== undefined);
      edge.server.failWith(() => undefined);
      await edge.nextPoll();
      const good = edge.agent.state();
      assert.ok(good.kind === 'polling' && good.failure === undefined);
    });
  }

  it('E3 opens the tunnel when it is required, leaves it at ACTIVE, and closes it at IDLE', async () => {
    await using edge = await start();
    edge.server.say({ status: 'REQUIRED', port: 51_234, credentials: 'sealed' });
    await edge.nextPoll();
    assert.deepEqual(edge.opened, [
      {
        tunnelAddress: '127.0.0.1:9',
        fingerprint: 'wY9EIpAyb48SmO6YbjtgvR++gVm2HhFLLUSSKXBsoV8=',
        port: 51_234,
        credentials: 'sealed',
      },
    ]);
    edge.server.say({ status: 'ACTIVE', port: 51_234, credentials: '' });
    await edge.nextPoll();
    assert.deepEqual([edge.opened.length, edge.closed()], [1, 0]);
    edge.server.say({ status: 'IDLE', port: 0 });
    await edge.nextPoll();
    assert.equal(edge.closed(), 1);
  });

  it('polls on while stacks take their time, and gives them the newest list afterwards', async () => {
    await using edge = await start();
    let release = (): void => undefined;
    edge.onStacks(
      () =>
        new Promise((resolve) => {
          release = resolve;
        }),
    );
    for (const version of [1, 2, 3]) {
      edge.server.say({ stacks: [{ ID: 1, Version: version }] });
      await edge.nextPoll();
    }
    assert.deepEqual(edge.stacks, [[{ id: 1, version: 1 }]]);
    release();
    await eventually(() => edge.stacks.length === 2);
    assert.deepEqual(edge.stacks[1], [{ id: 1, version: 3 }]);
    release();
  });

  it('says once that stacks fail, once more when the reason is another, and that they work again', async () => {
    await using edge = await start();
    const said = ({ infos, warnings }: RecordedLog): readonly string[] =>
      [...infos, ...warnings].map(({ event }) => event).filter((event) => event.startsWith('stacks'));
    for (const [reason, count] of [
      ['no engine', 1],
      ['no engine', 1],
      ['no disk', 2],
    ] as const) {
      edge.onStacks(() => Promise.reject(new Error(reason)));
      await edge.nextPoll();
      await eventually(() => said(edge.recorded).length === count);
    }
    edge.onStacks(() => Promise.resolve());
    await edge.nextPoll();
    await edge.nextPoll();
    await eventually(() => edge.recorded.infos.some(({ event }) => event === 'stacks done again'));
    assert.equal(said(edge.recorded).length, 3);
  });

  it('closes the tunnel and interrupts its work when it is not the leader any more, and does not poll', async () => {
    await using edge = await start();
    let interrupted = false;
    edge.onStacks(
      (ending) =>
        new Promise((resolve) =>
          ending.addEventListener('abort', () => {
            interrupted = true;
            resolve();
          }),
        ),
    );
    await edge.nextPoll();
    edge.setRole(false);
    assert.equal(edge.closed(), 2, 'once at IDLE, once at the end of the role');
    await eventually(() => interrupted);
    assert.deepEqual(edge.agent.state(), { kind: 'resting', reason: 'not-leader' });
    assert.equal(edge.clock.waiting(), 0);
    const before = edge.server.polls().length;
    edge.setRole(true);
    edge.clock.advance(4_999);
    assert.equal(edge.server.polls().length, before);
    await edge.nextPoll();
  });

  it('gives up the poll in progress with its role, and follows nothing of it', async () => {
    await using edge = await start();
    edge.server.failWith(() => ({ kind: 'hang' }));
    edge.clock.advance(5_000);
    await eventually(() => edge.server.polls().length === 1);
    edge.setRole(false);
    await eventually(() => edge.server.openConnections() === 0);
    assert.deepEqual([edge.stacks.length, edge.schedules.length], [0, 0]);
  });
});
