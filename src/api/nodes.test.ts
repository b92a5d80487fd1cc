// The list of nodes from what is known: members, missing ones, and nodes of the Swarm that no agent speaks for.

import assert from 'node:assert/strict';
import { memberOf } from '../../test/support/fake-peer.ts';
import type { Member } from '../cluster/cluster.ts';
import { type NodesNeeds, readNodes } from './nodes.ts';
import type { PeerMeasure } from './peer-measure.ts';

const never = new AbortController().signal;
const self = memberOf({ nodeName: 'node2', role: 'manager', leader: true }, true);
const good = memberOf({ nodeName: 'node1' });
const bad = memberOf({ nodeName: 'node3', role: undefined });
const gone = memberOf({ nodeName: 'node4', agentVersion: '0.0.9' }).record;

const measures: ReadonlyMap<Member, PeerMeasure> = new Map([
  [good, { connection: { kind: 'open' }, clock: { kind: 'told', rttMs: 1.234, skewMs: 0 }, payloads: [] }],
  [
    bad,
    { connection: { kind: 'failed', code: 'timeout', reason: 'no answer' }, clock: undefined, payloads: [] },
  ],
]);

const needs: NodesNeeds = {
  view: () => ({
    state: 'joined',
    self,
    members: [good, self, bad],
    missing: [
      { nodeName: 'node4', engineId: gone.engineId, reason: 'dead', sinceMs: 40_000, record: gone },
      { nodeName: 'node6', engineId: 'engine-6', reason: 'dead', sinceMs: 50_000 },
    ],
  }),
  isClustered: () => true,
  swarmNodes: async () => [
    {
      nodeId: 'id-node1',
      nodeName: 'node1',
      role: 'worker',
      address: 'a',
      state: 'ready',
      engineVersion: 'v',
    },
    {
      nodeId: 'x5',
      nodeName: 'node5',
      role: 'worker',
      address: undefined,
      state: 'down',
      engineVersion: 'v',
    },
  ],
  measure: async (member) => measures.get(member) ?? assert.fail('measures itself'),
  nowMs: () => 60_000,
};

describe('nodes', () => {
  it('lists members as measured now, missing ones, and nodes without an agent, by name', async () => {
    const { cluster, atMs, nodes } = await readNodes(needs, never);
    assert.deepEqual([cluster, atMs], ['joined', 60_000]);
    assert.deepEqual(
      nodes.map(({ name, state, role, rttMs, lastSeenMs, fault }) => [
        name,
        state,
        role,
        rttMs,
        lastSeenMs,
        fault,
      ]),
      [
        ['node1', 'alive', 'worker', 1.23, 60_000, null],
        ['node2', 'alive', 'manager', null, 60_000, null],
        ['node3', 'alive', null, null, null, 'no answer'],
        ['node4', 'missing', 'worker', null, 40_000, null],
        ['node5', 'no-agent', 'worker', null, null, 'the Swarm says: down'],
        ['node6', 'missing', null, null, 50_000, null],
      ],
    );
    assert.equal(nodes[3]?.agentVersion, '0.0.9');
    assert.equal(nodes[1]?.self && nodes[1].leader, true);
  });

  it('keeps every key of JSON, known or not', async () => {
    const { nodes } = await readNodes(needs, never);
    const keys = new Set(
      nodes.map((node) =>
        Object.keys(JSON.parse(JSON.stringify(node)))
          .toSorted()
          .join(),
      ),
    );
    assert.deepEqual(
      [...keys],
      [
        'address,agentVersion,apiVersion,engineVersion,fault,id,lastSeenMs,leader,minApiVersion,name,role,rttMs,self,state',
      ],
    );
  });

  it('lists the members also when the Swarm has no quorum', async () => {
    const swarmNodes = (): Promise<never> => Promise.reject(new Error('no leader'));
    const { nodes } = await readNodes({ ...needs, swarmNodes, isClustered: () => false }, never);
    assert.equal(nodes.length, 5);
  });
});
