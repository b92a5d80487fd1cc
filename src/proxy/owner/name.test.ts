// How a name is read before anybody is asked for it.

import assert from 'node:assert/strict';
import { memberOf } from '../../../test/support/fake-peer.ts';
import type { ClusterView } from '../../cluster/cluster.ts';
import type { OwnedResource } from '../routes/route.ts';
import { bareName, inspectPath, isAskable, isUniqueId, maxNameBytes, splitNode } from './name.ts';

describe('isAskable', () => {
  const good = [
    'web',
    'a',
    'registry.example:5000/team/app:1.2@sha256:ab',
    'node-1/web',
    '..web',
    'web...',
    'ä b?#%&',
    'a'.repeat(maxNameBytes),
  ];
  for (const name of good) it(`takes ${show(name)}`, () => assert.equal(isAskable(name), true));

  const bad = [
    '',
    '.',
    '..',
    '/web',
    'web/',
    'a//b',
    '../swarm/unlockkey',
    'a/../../swarm/unlockkey?x=',
    'a/./b',
    'a\\..\\b',
    'a\r\nX-Evil: 1',
    'a\0',
    '\u007f',
    '\ud800',
    'a'.repeat(maxNameBytes + 1),
    'ä'.repeat(maxNameBytes / 2 + 1),
  ];
  for (const name of bad) it(`refuses ${show(name)}`, () => assert.equal(isAskable(name), false));
});

function show(name: string): string {
  return name.length > 60 ? `${name.length} characters` : JSON.stringify(name);
}

describe('inspectPath', () => {
  const table: readonly [OwnedResource, string, string | undefined, string | undefined, string][] = [
    ['container', 'web', undefined, undefined, '/containers/web/json'],
    ['container', 'web', '1.41', 'swarm', '/v1.41/containers/web/json'],
    ['exec', 'abc', '1.41', undefined, '/v1.41/exec/abc/json'],
    ['image', 'my.reg:5000/a/b:1', undefined, undefined, '/images/my.reg%3A5000/a/b%3A1/json'],
    ['volume', 'da ta', '1.41', undefined, '/v1.41/volumes/da%20ta'],
    ['network', 'net', undefined, undefined, '/networks/net'],
    ['network', 'net', '1.41', 'swarm', '/v1.41/networks/net?scope=swarm'],
    ['network', 'net?x#y', undefined, 'a&b=c', '/networks/net%3Fx%23y?scope=a%26b%3Dc'],
  ];
  for (const [resource, name, version, scope, path] of table)
    it(`is ${path}`, () => assert.equal(inspectPath(resource, name, version, scope), path));
});

describe('a name', () => {
  it('loses the slash that engines show in front of containers only', () => {
    assert.equal(bareName('container', '/web'), 'web');
    assert.equal(bareName('container', 'node-1/web'), 'node-1/web');
    assert.equal(bareName('volume', '/web'), '/web');
  });

  it('is a unique id when it is a full one of a container or exec', () => {
    const id = '0123456789abcdef'.repeat(4);
    assert.equal(isUniqueId('container', id), true);
    assert.equal(isUniqueId('exec', id), true);
    assert.equal(isUniqueId('image', id), false);
    assert.equal(isUniqueId('container', id.slice(1)), false);
    assert.equal(isUniqueId('container', id.toUpperCase()), false);
    assert.equal(isUniqueId('container', `${id}\n`), false);
  });

  it('is split behind the name of a node that is or was here', () => {
    const self = memberOf({ nodeName: 'node-1' }, true);
    const view: ClusterView = {
      state: 'joined',
      self,
      members: [self],
      missing: [{ nodeName: 'node-2', engineId: 'e', reason: 'dead', sinceMs: 0 }],
    };
    assert.deepEqual(splitNode('node-1/web', view), { node: 'node-1', name: 'web' });
    assert.deepEqual(splitNode('node-2/a/b', view), { node: 'node-2', name: 'a/b' });
    for (const name of ['node-3/web', 'web', 'node-1', 'node-1/', '/node-1/web', '/web'])
      assert.equal(splitNode(name, view), undefined, name);
  });
});
