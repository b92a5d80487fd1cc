// A healthy cluster as the doctor measures it, and ways to make it ill: the table of one kind of illness is beside the
// file that names it.

import assert from 'node:assert/strict';
import { it } from 'mocha';
import { findings } from '../../src/api/doctor/doctor.ts';
import type { DoctorFacts } from '../../src/api/doctor/facts.ts';
import type { DoctorCheck } from '../../src/api/doctor/report.ts';
import type { PeerMeasure } from '../../src/api/peer-measure.ts';
import type { AddressDiagnosis, ClusterDiagnosis, Member } from '../../src/cluster/cluster.ts';
import type { SwarmNode } from '../../src/docker/docker.ts';
import type { EdgeState } from '../../src/edge/edge.ts';
import { memberOf } from './fake-peer.ts';

export const self: Member = memberOf({ nodeName: 'node1', role: 'manager', address: '10.0.0.1' }, true);
export const other: Member = memberOf({ nodeName: 'node2', address: '10.0.0.2' });
export const open = { kind: 'open' } as const;
export const refused = { kind: 'refused' } as const;
export const silent = { kind: 'silent', afterMs: 1_000 } as const;

/** An edge agent that is well, and whose Portainer wants no tunnel. */
export const polling: Extract<EdgeState, { readonly kind: 'polling' }> = {
  kind: 'polling',
  portainerUrl: 'https://p',
  environmentId: 7,
  intervalMs: 5_000,
  lastGoodMs: 1,
  failure: undefined,
  tunnel: { kind: 'closed', why: 'not-wanted' },
};

export const healthyMeasure: PeerMeasure = {
  connection: { kind: 'open' },
  clock: { kind: 'told', rttMs: 1, skewMs: 3 },
  payloads: [
    { bytes: 1_400, fault: undefined },
    { bytes: 65_536, fault: undefined },
  ],
};

export const healthyPath: AddressDiagnosis = {
  address: '10.0.0.2',
  gossipPort: 7946,
  peerPort: 9002,
  sources: ['dns tasks.agent'],
  nodeName: 'node2',
  member: 'live',
  gossip: open,
  peer: open,
  handshake: undefined,
};
export const stranger: AddressDiagnosis = {
  ...healthyPath,
  address: '10.0.0.3',
  nodeName: undefined,
  member: 'unknown',
};

export const running: ClusterDiagnosis['state'] = {
  kind: 'running',
  advertise: '10.0.0.1',
  listen: '10.0.0.1',
  reason: "the container's address on the network agents",
};

export const healthy: DoctorFacts = {
  engine: { kind: 'reachable' },
  facts: {
    engineId: 'engine-node1',
    nodeName: 'node1',
    engineVersion: '20.10.24',
    apiVersion: '1.41',
    minApiVersion: '1.12',
    osType: 'linux',
    rootDir: '/var/lib/docker',
    swarm: { nodeId: 'id-node1', clusterId: 'swarm', role: 'manager', leader: true },
  },
  dockerSocket: '/var/run/docker.sock',
  folders: [
    { path: '/run/flotilla', purpose: 'Docker sockets', variable: 'FLOTILLA_SOCKET_DIR', fault: undefined },
  ],
  view: { state: 'joined', self, members: [self, other], missing: [] },
  hasSecret: true,
  diagnosis: {
    state: running,
    sources: [
      {
        source: 'dns tasks.agent',
        addresses: ['10.0.0.1', '10.0.0.2'],
        own: 1,
        proved: 1,
        fault: undefined,
      },
    ],
    addresses: [healthyPath],
  },
  measures: new Map([[other, healthyMeasure]]),
  speakTls: new Set(),
  swarmNodes: [swarmNode('node1', '10.0.0.1'), swarmNode('node2', '10.0.0.2')],
  nowMs: 100_000,
};

export function swarmNode(nodeName: string, address: string, state = 'ready'): SwarmNode {
  return { nodeId: `id-${nodeName}`, nodeName, role: 'worker', address, state, engineVersion: '20.10.24' };
}

export function withPath(
  path: Partial<AddressDiagnosis>,
  base: AddressDiagnosis = stranger,
): Partial<DoctorFacts> {
  return { diagnosis: { ...healthy.diagnosis, addresses: [healthyPath, { ...base, ...path }] } };
}

export function withMeasure(measure: Partial<PeerMeasure>): Partial<DoctorFacts> {
  return { measures: new Map([[other, { ...healthyMeasure, ...measure }]]) };
}

export function withState(state: ClusterDiagnosis['state']): Partial<DoctorFacts> {
  return {
    diagnosis: { state, sources: [], addresses: [] },
    view: { ...healthy.view, members: [self] },
    measures: new Map(),
    swarmNodes: undefined,
  };
}

export function withMembers(...members: readonly Member[]): Partial<DoctorFacts> {
  return {
    view: { ...healthy.view, members: [self, ...members] },
    measures: new Map(members.map((member) => [member, healthyMeasure])),
  };
}

/** What is wrong, the check that says so, about what, and words of what was seen and of the remedy. */
export type IllnessCase = readonly [
  what: string,
  change: Partial<DoctorFacts>,
  check: DoctorCheck['check'],
  subject: string | null,
  seen: RegExp,
  remedy: RegExp,
  level?: 'warning',
];

/** One test for each line of the table. */
export function testIllnesses(cases: readonly IllnessCase[]): void {
  for (const [what, change, check, subject, seen, remedy, level = 'problem'] of cases) {
    it(`names ${what}, and a remedy`, () => {
      const wrong = findings({ ...healthy, ...change }).filter((one) => one.level !== 'ok');
      const found = wrong.find(
        (one) => one.check === check && one.subject === subject && seen.test(one.seen),
      );
      assert.ok(found !== undefined, JSON.stringify(wrong, null, 1));
      assert.match(found.remedy ?? '', remedy);
      assert.equal(found.level, level);
    });
  }
}
