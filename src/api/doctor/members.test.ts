// What can be wrong among members: the check that names it, about whom, and words of its remedy.

import {
  healthy,
  type IllnessCase,
  other,
  self,
  swarmNode,
  testIllnesses,
  withMeasure,
  withMembers,
} from '../../../test/support/doctor-facts.ts';
import { memberOf } from '../../../test/support/fake-peer.ts';

const cases: readonly IllnessCase[] = [
  [
    'a suspect',
    { view: { ...healthy.view, members: [self, { ...other, state: 'suspect' }] } },
    'member',
    'node2',
    /suspect/,
    /look again/i,
    'warning',
  ],
  [
    'a certificate that is not the one of the record',
    withMeasure({ connection: { kind: 'failed', code: 'member-untrusted', reason: 'x' }, clock: undefined }),
    'member',
    'node2',
    /another certificate/,
    /restarted a moment ago/,
  ],
  [
    'a handshake whose packets are too large',
    withMeasure({ connection: { kind: 'failed', code: 'timeout', reason: 'x' }, clock: undefined }),
    'mtu',
    'node2',
    /those of a TLS handshake, of full size, do not: .*smaller MTU/,
    /network\.driver\.mtu/,
  ],
  [
    'an agent that hangs, and is a member still',
    {
      view: { ...healthy.view, members: [self, { ...other, state: 'suspect' }] },
      measures: new Map([
        [
          { ...other, state: 'suspect' },
          { connection: { kind: 'failed', code: 'timeout', reason: 'x' }, clock: undefined, payloads: [] },
        ],
      ]),
    },
    'member',
    'node2',
    /no TLS handshake comes about/,
    /hangs/,
  ],
  [
    'gossip in one direction only',
    withMeasure({ clock: { kind: 'not-member' }, payloads: [] }),
    'member',
    'node2',
    /no member in its eyes/,
    /on node2/,
  ],
  [
    'an agent that is too old',
    withMeasure({ clock: { kind: 'unknown-path', status: 404 }, payloads: [] }),
    'versions',
    'node2',
    /too old/,
    /same version/,
    'warning',
  ],
  [
    'an agent that answers no request',
    withMeasure({ clock: { kind: 'failed', reason: 'no answer in time' }, payloads: [] }),
    'member',
    'node2',
    /does not answer requests/,
    /restart/,
  ],
  [
    'a clock that is a little off',
    withMeasure({ clock: { kind: 'told', rttMs: 1, skewMs: -5_000 } }),
    'clock',
    'node2',
    /5\.0 s behind/,
    /NTP/,
    'warning',
  ],
  [
    'a clock that is far off',
    withMeasure({ clock: { kind: 'told', rttMs: 1, skewMs: 90_000 } }),
    'clock',
    'node2',
    /90\.0 s ahead/,
    /NTP/,
  ],
  [
    'packets that are dropped for their size',
    withMeasure({
      payloads: [
        { bytes: 1_400, fault: undefined },
        { bytes: 65_536, fault: 'no answer in time' },
      ],
    }),
    'mtu',
    'node2',
    /small packets and 1400 bytes come through, 65536 bytes do not .*smaller MTU/,
    /network\.driver\.mtu/,
  ],
  [
    'engines without a common API version',
    withMembers(memberOf({ nodeName: 'node2', minApiVersion: '1.44', apiVersion: '1.54' })),
    'versions',
    'node1',
    /node2 needs API 1\.44 or newer, node1 speaks 1\.41 at most/,
    /update the engine of node1/,
  ],
  [
    'agents of different versions',
    withMembers(memberOf({ nodeName: 'node2', agentVersion: '9.9.9' })),
    'versions',
    null,
    /node1 0\.1\.0, node2 9\.9\.9/,
    /same version/,
    'warning',
  ],
  [
    'a member that died and left no address',
    {
      view: {
        ...healthy.view,
        missing: [{ nodeName: 'node3', engineId: 'e', reason: 'dead', sinceMs: 70_000 }],
      },
    },
    'member',
    'node3',
    /not heard for 30 s/,
    /on node3/,
  ],
  [
    'a node of the Swarm without an agent',
    { swarmNodes: [swarmNode('node1', ''), swarmNode('node3', '')] },
    'swarm',
    'node3',
    /no agent there was ever heard/,
    /docker service ps <service> --filter node=node3/,
  ],
  [
    'a node of the Swarm that is down',
    { swarmNodes: [swarmNode('node1', ''), swarmNode('node3', '', 'down')] },
    'swarm',
    'node3',
    /\(down\)/,
    /docker node rm node3/,
  ],
];

describe('doctor of the members', () => {
  testIllnesses(cases);
});
