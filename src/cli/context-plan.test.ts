// Which contexts there should be, whose those are that exist, and what is refused before any command runs.

import assert from 'node:assert/strict';
import { matchSockets } from './context.ts';
import {
  checkPrefix,
  faultOfSshPath,
  type KnownContext,
  parseSshHost,
  planContexts,
  stateOf,
  toRemove,
  toSocketNames,
} from './context-plan.ts';
import { parseContexts } from './docker-context.ts';

const local = { prefix: 'flotilla', host: undefined, sockets: '/run/flotilla' } as const;

function known(name: string, description: string, endpoint = ''): KnownContext {
  return { name, description, endpoint, current: false };
}

describe('contexts', () => {
  it('are one for the cluster and one for each node socket', () => {
    assert.deepEqual(planContexts({ ...local, nodes: ['node-1', 'AB:CD'] }), [
      {
        name: 'flotilla',
        endpoint: 'unix:///run/flotilla/docker.sock',
        description: 'Flotilla: all nodes',
      },
      {
        name: 'flotilla-node-1',
        endpoint: 'unix:///run/flotilla/nodes/node-1.sock',
        description: 'Flotilla: node node-1',
      },
      {
        name: 'flotilla-AB-CD',
        endpoint: 'unix:///run/flotilla/nodes/AB:CD.sock',
        description: 'Flotilla: node AB:CD',
      },
    ]);
    const host = parseSshHost('ssh://me@far:2222/');
    assert.deepEqual(
      planContexts({ ...local, host, nodes: ['n'] }).map(({ endpoint }) => endpoint),
      ['ssh://me@far:2222/run/flotilla/docker.sock', 'ssh://me@far:2222/run/flotilla/nodes/n.sock'],
    );
  });

  it('are ours by their description, and nobody else’s is touched', () => {
    const [cluster] = planContexts({ ...local, nodes: [] });
    assert.ok(cluster !== undefined);
    const { description, endpoint } = cluster;
    assert.equal(stateOf(cluster, [known('default', '')]), 'new');
    assert.equal(stateOf(cluster, [known('flotilla', description, endpoint)]), 'made');
    assert.equal(stateOf(cluster, [known('flotilla', description, 'unix:///else')]), 'differs');
    assert.equal(stateOf(cluster, [known('flotilla', 'mine', endpoint)]), 'taken');
    const all = [
      known('flotilla', description),
      known('flotilla-node-1', 'Flotilla: node node-1'),
      known('flotilla-mine', 'made by hand'),
      known('other-node-1', 'Flotilla: node node-1'),
      known('flotillas', 'Flotilla: all nodes'),
    ];
    assert.deepEqual(
      toRemove('flotilla', all).map(({ name }) => name),
      ['flotilla', 'flotilla-node-1'],
    );
  });

  it('refuse a name or a host that the docker CLI would, or that ssh would read as an option', () => {
    for (const prefix of ['x', '', 'a b', '-a', 'default', 'a/b']) assert.throws(() => checkPrefix(prefix));
    assert.equal(checkPrefix('prod.eu'), 'prod.eu');
    for (const host of [
      'host',
      'tcp://host',
      'ssh://',
      'ssh://-oProxyCommand=x',
      'ssh://h/run',
      'ssh://u:p@h',
      'ssh://a b',
    ]) {
      assert.throws(() => parseSshHost(host), /expected ssh:/, host);
    }
    assert.deepEqual(parseSshHost('ssh://me@far:2222').arguments, ['-l', 'me', '-p', '2222', '--', 'far']);
    assert.deepEqual(parseSshHost('ssh://[fd00::1]').arguments, ['--', 'fd00::1']);
  });

  it('over SSH need a CLI that takes a path, and an older one is told what else to do', () => {
    const host = parseSshHost('ssh://me@far');
    for (const version of ['24.0.0', '28.2.2', undefined, 'of tomorrow'])
      assert.equal(faultOfSshPath(version, host, '/run/flotilla'), undefined);
    const fault = faultOfSshPath('20.10.24', host, '/run/flotilla');
    assert.match(fault ?? '', /^docker CLI 20\.10\.24 refuses a path .* 24\.0 is the first/);
    assert.match(fault ?? '', /ssh -nNT -L \/tmp\/flotilla\.sock:\/run\/flotilla\/docker\.sock -l me -- far/);
    assert.ok(faultOfSshPath('23.0.6', host, '/run/flotilla') !== undefined);
  });

  it('take the names of nodes from sockets, by name or id', () => {
    assert.deepEqual(toSocketNames(['b.sock', 'a.sock', '.x.sock', 'README', 'c.sock.tmp']), ['a', 'b']);
    const nodes = [
      { name: 'n1', id: 'i1' },
      { name: 'a/b', id: 'i2' },
      { name: 'n3', id: 'i3' },
    ];
    assert.deepEqual(matchSockets(nodes.slice(0, 2), ['n1', 'i2']), { nodes: ['n1', 'i2'] });
    const { nodes: found, note } = matchSockets(nodes, ['n1', 'i2']);
    assert.deepEqual(found, ['n1', 'i2']);
    assert.match(note ?? '', /no context: n3/);
    assert.deepEqual(matchSockets(nodes.slice(0, 1), undefined), { nodes: ['n1'] });
  });

  it('are read from what the docker CLI lists, old or new', () => {
    const lines = [
      '{"Current":true,"Description":"","DockerEndpoint":"unix:///var/run/docker.sock","KubernetesEndpoint":"","Name":"default","StackOrchestrator":"swarm"}',
      '{"Current":false,"Description":"d x","DockerEndpoint":"ssh://u@h/run/x.sock","Error":"","Name":"t"}',
    ];
    assert.deepEqual(parseContexts(`${lines.join('\n')}\n`), [
      { name: 'default', description: '', endpoint: 'unix:///var/run/docker.sock', current: true },
      { name: 't', description: 'd x', endpoint: 'ssh://u@h/run/x.sock', current: false },
    ]);
  });
});
