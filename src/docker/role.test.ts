// What the engine's own answers say about it, with the answers of Podman and of broken Swarms among them.

import assert from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import type { RawInfo, RawNode } from './role.ts';
import { managerNodeId, toFacts, toSwarmNodes } from './role.ts';

const version = { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12' };
const leader: RawNode = { ManagerStatus: { Leader: true } };

function info(swarm?: RawInfo['Swarm']): RawInfo {
  const plain = { ID: 'AB:CD', Name: 'node1', DockerRootDir: '/srv/docker' };
  return swarm === undefined ? plain : { ...plain, Swarm: swarm };
}

const roles: readonly (readonly [string, RawInfo['Swarm'], RawNode | undefined, unknown])[] = [
  ['outside a Swarm', { NodeID: '', ControlAvailable: false }, undefined, undefined],
  ['without the field at all', undefined, undefined, undefined],
  [
    'a worker',
    { NodeID: 'n1', ControlAvailable: false },
    undefined,
    { nodeId: 'n1', clusterId: undefined, role: 'worker', leader: false },
  ],
  [
    'the leader',
    { NodeID: 'n1', ControlAvailable: true, Cluster: { ID: 'c1' } },
    leader,
    { nodeId: 'n1', clusterId: 'c1', role: 'manager', leader: true },
  ],
  [
    'another manager',
    { NodeID: 'n1', ControlAvailable: true, Cluster: { ID: 'c1' } },
    { ManagerStatus: { Leader: false } },
    { nodeId: 'n1', clusterId: 'c1', role: 'manager', leader: false },
  ],
  [
    'a manager without quorum',
    { NodeID: 'n1', ControlAvailable: true, Cluster: null },
    undefined,
    { nodeId: 'n1', clusterId: undefined, role: 'manager', leader: false },
  ],
  [
    'a demoted node that a stale answer calls leader',
    { NodeID: 'n1', ControlAvailable: false },
    leader,
    { nodeId: 'n1', clusterId: undefined, role: 'worker', leader: false },
  ],
];

describe('role of the engine', () => {
  for (const [name, swarm, node, expected] of roles) {
    it(`is read for ${name}`, () => {
      assert.deepEqual(toFacts(info(swarm), version, node).swarm, expected);
    });
  }

  it('takes names and versions as the engine gives them', () => {
    assert.deepEqual(toFacts(info(), version, undefined), {
      engineId: 'AB:CD',
      nodeName: 'node1',
      engineVersion: '20.10.24',
      apiVersion: '1.41',
      minApiVersion: '1.12',
      osType: 'linux',
      rootDir: '/srv/docker',
      swarm: undefined,
    });
  });

  it('stands in for what Podman leaves out, but not for a name or an API version', () => {
    const facts = toFacts({ Name: 'pod', ID: '' }, { ApiVersion: '1.41' }, undefined);
    assert.deepEqual(
      [facts.engineId, facts.minApiVersion, facts.rootDir],
      ['pod', '1.24', '/var/lib/docker'],
    );
    const fault = (field: string) => (error: unknown) =>
      error instanceof AgentError &&
      error.code === 'protocol-violation' &&
      error.message.endsWith(`no ${field}`);
    assert.throws(() => toFacts({ ID: 'x' }, version, undefined), fault('Name'));
    assert.throws(() => toFacts(info(), {}, undefined), fault('ApiVersion'));
  });

  it('asks only managers about nodes', () => {
    assert.equal(managerNodeId(info({ NodeID: 'n1', ControlAvailable: true })), 'n1');
    assert.equal(managerNodeId(info({ NodeID: 'n1', ControlAvailable: false })), undefined);
    assert.equal(managerNodeId(info()), undefined);
  });

  it('lists the nodes of the Swarm, a manager by its manager address where the other is none', () => {
    const nodes = toSwarmNodes([
      {
        ID: 'n1',
        Spec: { Role: 'manager' },
        Description: { Hostname: 'node1', Engine: { EngineVersion: '20.10.24' } },
        Status: { State: 'ready', Addr: '0.0.0.0' },
        ManagerStatus: { Leader: true, Addr: '[fd00::1]:2377' },
      },
      {
        ID: 'n2',
        Spec: { Role: 'worker' },
        Description: { Hostname: 'node2' },
        Status: { Addr: '10.0.0.2' },
      },
      { ID: 'n3', Description: {} },
    ]);
    assert.deepEqual(
      nodes.map(({ nodeName, role, address, state, engineVersion }) => [
        nodeName,
        role,
        address,
        state,
        engineVersion,
      ]),
      [
        ['node1', 'manager', 'fd00::1', 'ready', '20.10.24'],
        ['node2', 'worker', '10.0.0.2', 'unknown', undefined],
      ],
    );
  });
});
