// A member's record for tests that look at one or two of its fields.

import type { MemberRecord } from '../../src/cluster/cluster.ts';

export const sampleRecord: MemberRecord = {
  peerId: 'peer-a',
  nodeName: 'node-a',
  nodeId: 'id-a',
  engineId: 'engine-a',
  role: 'manager',
  leader: false,
  engineVersion: '20.10.24',
  apiVersion: '1.41',
  minApiVersion: '1.12',
  agentVersion: '0.1.0',
  address: '10.0.0.1',
  apiPort: 9001,
  peerPort: 9002,
  gossipPort: 7946,
  tlsFingerprint: 'ab'.repeat(32),
  generation: 1,
  incarnation: 0,
  edgeKeySet: false,
};
