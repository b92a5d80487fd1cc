// Which route a request finds, and what its parameters are, as the engine's router would say it.

import assert from 'node:assert/strict';
import { matchRoute, routeOf } from './match.ts';
import { routes } from './table.ts';

const longName = 'n'.repeat(10_000);

describe('match', () => {
  const found: readonly [string, string, string, Readonly<Record<string, string>>][] = [
    ['GET', '/_ping', '/_ping', {}],
    ['HEAD', '/_ping', '/_ping', {}],
    ['GET', '/containers/json', '/containers/json', {}],
    ['GET', '/containers/json/json', '/containers/{id:.*}/json', { id: 'json' }],
    ['GET', '/containers/web/json', '/containers/{id:.*}/json', { id: 'web' }],
    ['GET', '/containers/node-2/web/json', '/containers/{id:.*}/json', { id: 'node-2/web' }],
    ['GET', '/containers/a/json/b/json', '/containers/{id:.*}/json', { id: 'a/json/b' }],
    ['GET', '/containers/x/attach/ws', '/containers/{id:.*}/attach/ws', { id: 'x' }],
    ['POST', '/containers/create', '/containers/create', {}],
    ['POST', '/containers/create/start', '/containers/{id:.*}/start', { id: 'create' }],
    ['POST', '/containers/x/exec', '/containers/{id:.*}/exec', { id: 'x' }],
    ['HEAD', '/containers/x/archive', '/containers/{id:.*}/archive', { id: 'x' }],
    ['DELETE', '/containers/x', '/containers/{id:.*}', { id: 'x' }],
    ['DELETE', '/containers/x/', '/containers/{id:.*}', { id: 'x/' }],
    ['DELETE', '/containers/', '/containers/{id:.*}', { id: '' }],
    [
      'DELETE',
      '/containers/x/checkpoints/y',
      '/containers/{id}/checkpoints/{checkpoint}',
      { id: 'x', checkpoint: 'y' },
    ],
    ['DELETE', '/containers/a/b/checkpoints/y', '/containers/{id:.*}', { id: 'a/b/checkpoints/y' }],
    ['GET', `/containers/${longName}/json`, '/containers/{id:.*}/json', { id: longName }],
    ['GET', '/containers/\u2028 %?#"/json', '/containers/{id:.*}/json', { id: '\u2028 %?#"' }],
    ['POST', '/exec/abc/start', '/exec/{id:.*}/start', { id: 'abc' }],
    ['GET', '/images/json', '/images/json', {}],
    ['GET', '/images/get', '/images/get', {}],
    ['GET', '/images/x/get', '/images/{name:.*}/get', { name: 'x' }],
    ['GET', '/images/get/get', '/images/{name:.*}/get', { name: 'get' }],
    ['GET', '/images/a/b:c/json', '/images/{name:.*}/json', { name: 'a/b:c' }],
    [
      'GET',
      '/images/reg:5000/a/b@sha256:0f/json',
      '/images/{name:.*}/json',
      { name: 'reg:5000/a/b@sha256:0f' },
    ],
    ['POST', '/images/a/push/push', '/images/{name:.*}/push', { name: 'a/push' }],
    ['DELETE', '/images/a/b:c', '/images/{name:.*}', { name: 'a/b:c' }],
    ['GET', '/distribution/library/x/json', '/distribution/{name:.*}/json', { name: 'library/x' }],
    ['GET', '/volumes', '/volumes', {}],
    ['GET', '/volumes/', '/volumes/{name:.*}', { name: '' }],
    ['GET', '/volumes/create', '/volumes/{name:.*}', { name: 'create' }],
    ['PUT', '/volumes/x', '/volumes/{name:.*}', { name: 'x' }],
    ['GET', '/networks', '/networks', {}],
    ['GET', '/networks/', '/networks/', {}],
    ['GET', '/networks/a/b', '/networks/{id:.+}', { id: 'a/b' }],
    ['POST', '/networks/x/connect', '/networks/{id:.*}/connect', { id: 'x' }],
    ['GET', '/plugins/privileges', '/plugins/privileges', {}],
    ['GET', '/plugins/vieux/sshfs/json', '/plugins/{name:.*}/json', { name: 'vieux/sshfs' }],
    ['GET', '/services/web', '/services/{id}', { id: 'web' }],
    ['POST', '/services/create', '/services/create', {}],
  ];
  for (const [method, path, template, params] of found) {
    it(`${method} ${path.slice(0, 60)} is ${template}`, () => {
      const match = matchRoute(method, path);
      assert.equal(match?.route.path, template);
      assert.equal(match?.route.method, method);
      assert.deepEqual(match?.params, params);
      assert.equal(routeOf(method, path), match?.route);
    });
  }

  const unknown: readonly [string, string][] = [
    ['GET', '/'],
    ['GET', ''],
    ['GET', '/nothing'],
    ['GET', '/containers'],
    ['GET', '/containers/'],
    ['GET', '/containers/web'],
    ['GET', '/containers/json/'],
    ['GET', '/containers/a\nb/json'],
    ['HEAD', '/containers/json'],
    ['HEAD', '/version'],
    ['POST', '/containers/json'],
    ['POST', '/containers/web'],
    ['PATCH', '/containers/web'],
    ['get', '/containers/json'],
    ['OPTIONS', '/version'],
    ['DELETE', '/volumes'],
    ['POST', '/networks'],
    ['GET', '/services/a/b'],
    ['GET', '/services/'],
    ['GET', '/swarm/join'],
    ['POST', '/grpc/x'],
    ['POST', '/session/'],
    ['GET', '/v1.41/info'],
    ['GET', '/CONTAINERS/JSON'],
    ['GET', '/libpod/info'],
    ['GET', '/debug/vars'],
  ];
  for (const [method, path] of unknown) {
    it(`${method} ${JSON.stringify(path)} is no route`, () => {
      assert.equal(matchRoute(method, path), undefined);
      assert.equal(routeOf(method, path), undefined);
    });
  }

  it('finds every route of the table by its own template, so that none hides another', () => {
    for (const route of routes) {
      const path = route.path.replaceAll(/\{(\w+)[^}]*\}/g, 'some-$1');
      const match = matchRoute(route.method, path);
      assert.equal(match?.route, route, `${route.method} ${path}`);
      const names = [...route.path.matchAll(/\{(\w+)/g)].map((found) => found[1] ?? '');
      assert.deepEqual(match?.params, Object.fromEntries(names.map((name) => [name, `some-${name}`])));
    }
  });
});
