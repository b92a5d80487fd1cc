// Finding the container that the agent runs in, and the addresses of it and of its sibling tasks.

import assert from 'node:assert/strict';
import { ownContainerIds, toOwnContainer, toTaskAddresses } from './own-container.ts';

const idA = 'a'.repeat(64);
const idB = 'b'.repeat(64);

const mountinfo = `1063 1054 8:1 /var/lib/docker/containers/${idA}/hostname /etc/hostname rw - ext4 /dev/sda1 rw
1064 1054 8:1 /srv/engine/containers/${idA}/hosts /etc/hosts rw - ext4 /dev/sda1 rw
1070 1054 0:5 /containers/${idB}/mounts/shm /host/var/lib/docker/containers/${idB}/mounts/shm rw - tmpfs shm rw
1071 1054 8:1 / /host rw - ext4 /dev/sda1 rw`;

const candidates: readonly (readonly [string, string, string, string, readonly string[]])[] = [
  ['a host name that is a short id', 'aaaaaaaaaaaa', '', '', ['aaaaaaaaaaaa']],
  ['a host name chosen by somebody', 'web-1', '', '', []],
  ['a host name of hex digits that is too short', 'cafe', '', '', []],
  ['files bound from the own folder, and not the folders of others', 'web', mountinfo, '', [idA]],
  [
    'the Podman form',
    'web',
    `1 2 0:1 /x/overlay-containers/${idA}/userdata/hosts /etc/hosts rw - x y z`,
    '',
    [idA],
  ],
  ['cgroup version 1', 'web', '', `12:pids:/docker/${idA}\n11:cpu:/docker/${idA}`, [idA]],
  ['cgroup version 2 with systemd', 'web', '', `0::/system.slice/docker-${idA}.scope`, [idA]],
  ['a cgroup namespace of its own', 'web', '', '0::/\n', []],
  [
    'all of them, the host name first',
    'aaaaaaaaaaaa',
    mountinfo,
    `0::/docker/${idB}`,
    ['aaaaaaaaaaaa', idA, idB],
  ],
];

describe('own container', () => {
  for (const [name, hostName, mounts, cgroup, expected] of candidates) {
    it(`is looked for by ${name}`, () => {
      assert.deepEqual(ownContainerIds(hostName, mounts, cgroup), expected);
    });
  }

  it('has its addresses in a fixed order, Swarm networks first, ingress left out', () => {
    const container = { Id: idA, Config: { Labels: { 'com.docker.swarm.service.name': 'f_agent' } } };
    const own = toOwnContainer('a', container, [
      { name: 'bridge', endpoint: { IPAddress: '172.17.0.2' }, network: { Scope: 'local' } },
      { name: 'ingress', endpoint: { IPAddress: '10.0.0.9' }, network: { Scope: 'swarm', Ingress: true } },
      { name: 'z_net', endpoint: { IPAddress: '10.0.2.3' }, network: { Scope: 'swarm' } },
      {
        name: 'a_net',
        endpoint: { IPAddress: '', GlobalIPv6Address: 'fd00::3' },
        network: { Scope: 'swarm' },
      },
      { name: 'none', endpoint: { IPAddress: '' }, network: {} },
    ]);
    assert.deepEqual(own, {
      id: idA,
      serviceName: 'f_agent',
      addresses: [
        { network: 'a_net', address: 'fd00::3', scope: 'swarm' },
        { network: 'z_net', address: '10.0.2.3', scope: 'swarm' },
        { network: 'bridge', address: '172.17.0.2', scope: 'local' },
      ],
    });
  });
});

describe('task addresses', () => {
  it('are those of tasks that run or start, without prefix lengths, ingress and repetitions', () => {
    const attachment = (address: string, ingress = false) => ({
      Network: { Spec: { Ingress: ingress } },
      Addresses: [address],
    });
    const addresses = toTaskAddresses([
      {
        Status: { State: 'running' },
        NetworksAttachments: [attachment('10.0.1.5/24'), attachment('10.0.0.5/24', true)],
      },
      {
        Status: { State: 'running' },
        NetworksAttachments: [attachment('10.0.1.5/24'), attachment('fd00::7/64')],
      },
      { Status: { State: 'starting' }, NetworksAttachments: [attachment('10.0.1.8/24')] },
      { Status: { State: 'shutdown' }, NetworksAttachments: [attachment('10.0.1.6/24')] },
      { Status: { State: 'running' }, NetworksAttachments: null },
      {},
    ]);
    assert.deepEqual(addresses, ['10.0.1.5', 'fd00::7', '10.0.1.8']);
  });
});
