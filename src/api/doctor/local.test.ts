// What can be wrong on this node alone: the check that names it, and words of its remedy.

import { type IllnessCase, testIllnesses, withState } from '../../../test/support/doctor-facts.ts';

const cases: readonly IllnessCase[] = [
  [
    'an engine that is gone',
    { engine: { kind: 'unreachable', reason: 'ENOENT', sinceMs: 90_000 } },
    'engine',
    null,
    /for 10 s: ENOENT/,
    /dockerd/,
  ],
  [
    'a folder that cannot be written to',
    { folders: [{ path: '/x', purpose: 'p', variable: 'FLOTILLA_SOCKET_DIR', fault: 'EROFS' }] },
    'sockets',
    null,
    /\/x cannot be written to \(p\): EROFS/,
    /FLOTILLA_SOCKET_DIR/,
  ],
  [
    'no address to advertise',
    withState({ kind: 'finding-address' }),
    'advertise',
    null,
    /no address/,
    /FLOTILLA_ADVERTISE_ADDR/,
  ],
  [
    'a gossip port that is taken',
    withState({ kind: 'failed', reason: 'listen on 10.0.0.1:7946: EADDRINUSE' }),
    'advertise',
    null,
    /EADDRINUSE/,
    /FLOTILLA_GOSSIP_PORT/,
  ],
  [
    'an address that is not ours',
    withState({ kind: 'failed', reason: 'listen on 10.9.9.9:7946: EADDRNOTAVAIL' }),
    'advertise',
    null,
    /EADDRNOTAVAIL/,
    /FLOTILLA_ADVERTISE_ADDR/,
  ],
  [
    'two agents on one engine',
    withState({ kind: 'stepped-down', address: '10.0.0.9' }),
    'advertise',
    null,
    /took over at 10\.0\.0\.9/,
    /one agent on each node/,
  ],
  [
    'no secret',
    { hasSecret: false },
    'secret',
    null,
    /no cluster secret/,
    /FLOTILLA_CLUSTER_SECRET/,
    'warning',
  ],
];

describe('doctor of this node', () => {
  testIllnesses(cases);
});
