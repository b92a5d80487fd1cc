// The doctor's findings as a whole: all is well, nobody is named twice, and silence where there is no cluster.

import assert from 'node:assert/strict';
import {
  healthy,
  healthyPath,
  refused,
  silent,
  swarmNode,
  withMeasure,
  withPath,
  withState,
} from '../../../test/support/doctor-facts.ts';
import { findings } from './doctor.ts';

describe('doctor', () => {
  it('finds nothing wrong with a healthy cluster, and says what it looked at', () => {
    const checks = findings(healthy);
    assert.deepEqual(
      checks.filter(({ level, remedy }) => level !== 'ok' || remedy !== null),
      [],
    );
    const looked = ['engine', 'sockets', 'advertise', 'secret', 'cluster', 'clock', 'mtu', 'versions'];
    assert.deepEqual([...new Set(checks.map(({ check }) => check))], [...looked, 'discovery', 'swarm']);
    const seen = checks.map((check) => check.seen).join('\n');
    assert.match(seen, /dns tasks\.agent gave 2 \(10\.0\.0\.1, 10\.0\.0\.2\): 1 this agent itself, 1 proved/);
    assert.match(seen, /10\.0\.0\.1: the container's address on the network agents/);
    assert.match(seen, /each of the 2 nodes of the Swarm has an agent/);
  });

  it('names a missing node once, by what stands in its way', () => {
    const missing = [{ nodeName: 'node3', engineId: 'e', reason: 'dead', sinceMs: 70_000 } as const];
    const checks = findings({
      ...healthy,
      ...withPath({ nodeName: 'node3', member: 'missing', gossip: refused, peer: refused }),
      view: { ...healthy.view, missing },
      swarmNodes: [swarmNode('node3', '10.0.0.3')],
    });
    const about = checks.filter(({ subject }) => subject === 'node3');
    assert.deepEqual(
      about.map(({ check }) => check),
      ['port'],
    );
  });

  it('names a closed port once, though nothing could be measured behind it', () => {
    const checks = findings({
      ...healthy,
      ...withMeasure({ connection: { kind: 'failed', code: 'timeout', reason: 'x' }, clock: undefined }),
      diagnosis: { ...healthy.diagnosis, addresses: [{ ...healthyPath, peer: silent }] },
    });
    assert.deepEqual(
      checks.filter(({ level }) => level !== 'ok').map(({ check }) => check),
      ['port'],
    );
  });

  it('has nothing to say of others where it was not told to cluster', () => {
    const checks = findings({
      ...healthy,
      ...withState({ kind: 'alone' }),
      facts: { ...healthy.facts, swarm: undefined },
      hasSecret: false,
    });
    assert.deepEqual(
      checks.map(({ check, level }) => [check, level]),
      [
        ['engine', 'ok'],
        ['sockets', 'ok'],
        ['advertise', 'ok'],
      ],
    );
  });
});
