// When the agent counts as alive and as ready, and what it says when it does not.

import assert from 'node:assert/strict';
import { polling } from '../../test/support/doctor-facts.ts';
import type { HealthInputs } from './health.ts';
import { decideHealth } from './health.ts';

const healthy: HealthInputs = {
  engine: { kind: 'reachable' },
  cluster: 'joined',
  listener: 'listening',
  draining: false,
  nodeName: 'node1',
  members: 3,
  missing: [],
  nowMs: 100_000,
};
const gone = (sinceMs: number): HealthInputs['engine'] => ({
  kind: 'unreachable',
  reason: 'refused',
  sinceMs,
});

const tunnel = { kind: 'waiting', port: 1, attempt: 2, reason: 'refused', retryAtMs: 3 } as const;

const cases: readonly (readonly [string, Partial<HealthInputs>, boolean, boolean, string | undefined])[] = [
  ['all is well', {}, true, true, undefined],
  ['the agent stands alone', { cluster: 'alone', members: 1 }, true, true, undefined],
  ['nobody else is there', { members: 1 }, true, true, undefined],
  ['a member is missing', { missing: ['node3'] }, true, true, undefined],
  ['it is joining', { cluster: 'joining' }, true, false, 'no other agent has answered yet'],
  ['it is starting', { listener: 'starting' }, true, false, 'not listening yet'],
  [
    'the 72 h have passed',
    { listener: 'closed' },
    true,
    false,
    'closed: no Portainer was associated in time; restart the agent',
  ],
  [
    'Edge mode has no key',
    { edge: { kind: 'unassociated', pageOpen: true } },
    true,
    false,
    'no Edge key: give it on the Edge page',
  ],
  ['another agent polls', { edge: { kind: 'resting', reason: 'not-leader' } }, true, true, undefined],
  ['it has not polled yet', { edge: { ...polling, lastGoodMs: undefined } }, true, false, 'not polled yet'],
  ['it polls', { edge: polling }, true, true, undefined],
  ['polls fail', { edge: { ...polling, failure: '502' } }, true, false, 'poll failed: 502'],
  ['the tunnel does not come up', { edge: { ...polling, tunnel } }, true, false, 'tunnel not open: refused'],
  ['it is shutting down', { draining: true }, true, false, 'shutting down'],
  ['the engine is just gone', { engine: gone(90_000) }, true, false, 'unreachable for 10 s: refused'],
  ['the engine is gone for 60 s', { engine: gone(40_000) }, true, false, 'unreachable for 60 s: refused'],
  ['the engine is gone for longer', { engine: gone(39_999) }, false, false, 'unreachable for 60 s: refused'],
  ['the clock stepped back', { engine: gone(200_000) }, true, false, 'unreachable for 0 s: refused'],
];

describe('health', () => {
  for (const [when, inputs, alive, ready, reason] of cases) {
    it(`is ${alive ? 'alive' : 'dead'} and ${ready ? 'ready' : 'not ready'} when ${when}`, () => {
      const report = decideHealth({ ...healthy, ...inputs });
      assert.deepEqual([report.alive, report.ready], [alive, ready]);
      assert.deepEqual(
        report.checks.filter(({ ok }) => !ok).map((check) => check.reason),
        reason === undefined ? [] : [reason],
      );
    });
  }
});
