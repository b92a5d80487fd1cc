// Portainer's decision table (agent-api.md 8.1), row by row, and the stream classes.

import assert from 'node:assert/strict';
import { type Decision, decide, listKindOf, streamClassOf } from './classify.ts';
import { routes } from './routes/table.ts';

const id = 'ab'.repeat(32);

describe('classify', () => {
  const local: Decision = { kind: 'local' };
  const manager: Decision = { kind: 'manager' };
  const rows: readonly [string, string, string, string, Decision][] = [
    // method, path, target, manager operation
    ['GET', '/containers/json', '', '1', manager],
    ['GET', '/_ping', 'other', 'x', manager],
    ['GET', '/containers/json', '', '', { kind: 'cluster', list: 'containers' }],
    ['GET', '/containers/json', 'self', '', local],
    ['GET', '/containers/json', 'other', '', { kind: 'cluster', list: 'containers' }],
    ['GET', '/images/json', '', '', { kind: 'cluster', list: 'images' }],
    ['GET', '/volumes', '', '', { kind: 'cluster', list: 'volumes' }],
    ['POST', '/volumes', '', '', local],
    ['GET', '/networks', 'gone', '', { kind: 'cluster', list: 'networks' }],
    ['DELETE', '/networks', '', '', local],
    ['GET', '/networks/', '', '', local],
    ['GET', '/services', '', '', manager],
    ['GET', '/services/x/logs', 'other', '', manager],
    ['GET', '/info', 'other', '', manager],
    ['GET', '/swarm', '', '', manager],
    ['GET', '/nodes/abc', '', '', manager],
    ['POST', '/swarm/leave', '', '', manager],
    ['GET', '/information', 'self', '', manager],
    ['GET', '/containers/json/', '', '', local],
    ['POST', '/images/json', 'other', '', { kind: 'cluster', list: 'images' }],
    ['GET', '/events', '', '', local],
    ['GET', '/system/df', 'other', '', { kind: 'node', nodeName: 'other' }],
    ['PUT', '/volumes/x', '', '', local],
    ['GET', '/version', '', '', local],
    ['GET', '/version', 'self', '', local],
    ['GET', '/version', 'other', '', { kind: 'node', nodeName: 'other' }],
    ['GET', '/version', 'Self', '', { kind: 'node', nodeName: 'Self' }],
    ['POST', '/containers/create', '', '', local],
    ['GET', '/containers/web/json', '', '', local],
    ['GET', `/containers/${id.slice(0, 12)}/json`, '', '', local],
    ['GET', `/containers/${id}/json`, '', '', { kind: 'owner', resource: 'containers', id }],
    ['DELETE', `/containers/${id}`, '', '', { kind: 'owner', resource: 'containers', id }],
    ['POST', `/exec/${id}/start`, '', '', { kind: 'owner', resource: 'exec', id }],
    ['POST', `/exec/${id}/start`, 'self', '', local],
    ['GET', `/containers/${id}0/json`, '', '', local],
  ];
  for (const [method, path, target, managerOperation, expected] of rows) {
    it(`${method} ${path} target=${target || '-'} manager=${managerOperation || '-'} is ${expected.kind}`, () => {
      assert.deepEqual(decide(method, path, { target, managerOperation }, 'self'), expected);
    });
  }

  it('merges four paths and no other', () => {
    const merged = routes.filter(({ path }) => listKindOf(path) !== undefined).map(({ path }) => path);
    assert.deepEqual(merged, ['/containers/json', '/images/json', '/volumes', '/networks']);
  });

  it('sends to a manager what the route table sends there, but for updates of cluster volumes', () => {
    const steering = { target: '', managerOperation: '' };
    const elsewhere = routes
      .filter(({ where }) => where.kind === 'manager')
      .filter(({ method, path }) => decide(method, path, steering, 'self').kind !== 'manager');
    assert.deepEqual(
      elsewhere.map(({ method, path }) => `${method} ${path}`),
      ['PUT /volumes/{name:.*}'],
    );
  });

  const streams: readonly [string, string, string][] = [
    ['GET', '/containers/x/logs', 'endless'],
    ['GET', '/events', 'endless'],
    ['GET', '/services/x/logs', 'endless'],
    ['POST', '/containers/x/wait', 'endless'],
    ['POST', '/build', 'endless'],
    ['POST', '/images/load', 'endless'],
    ['GET', '/images/repo/name/get', 'endless'],
    ['PUT', '/containers/x/archive', 'endless'],
    ['POST', '/containers/x/attach', 'hijack'],
    ['GET', '/containers/x/attach', 'short'],
    ['GET', '/containers/x/attach/ws', 'hijack'],
    ['POST', '/exec/x/start', 'hijack'],
    ['POST', '/session', 'hijack'],
    ['POST', '/grpc', 'hijack'],
    ['POST', '/grpc/x', 'short'],
    ['GET', '/containers/json', 'short'],
    ['HEAD', '/containers/x/archive', 'short'],
    ['HEAD', '/_ping', 'short'],
    ['GET', '/containers/node-2/x/logs', 'endless'],
    ['GET', '/services/x/stats', 'short'],
    ['GET', '/libpod/events', 'short'],
    ['POST', '/containers/create', 'short'],
  ];
  for (const [method, path, expected] of streams) {
    it(`${method} ${path} is ${expected}`, () => assert.equal(streamClassOf(method, path), expected));
  }
});
