// Where a request on the cluster socket goes, as a table: by route, target, label, version, and who is there.

import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import {
  type Asked,
  foundOn,
  id,
  manager,
  nowhere,
  other,
  run,
  three,
  viewOf,
} from '../../../test/support/endpoint-request.ts';
import { memberOf } from '../../../test/support/fake-peer.ts';
import type { ClusterView, MissingMember } from '../../cluster/cluster.ts';
import { dockerError } from '../../exchange.ts';
import { createCommonHeaders } from './common-headers.ts';

const plain = memberOf({ nodeName: 'a', role: undefined }, true);
const noSwarm: ClusterView = {
  state: 'joined',
  self: plain,
  members: [plain, memberOf({ nodeName: 'b', role: undefined })],
  missing: [],
};
const gone: MissingMember = { nodeName: 'dead', engineId: 'dead-engine', reason: 'dead', sinceMs: 0 };
const joining: ClusterView = { ...viewOf([]), state: 'joining' };

const unheard = { node: 'b', reason: 'timeout', sinceMs: 0 } as const;
const target = (name: string): IncomingMessage['headers'] => ({ 'x-portaineragent-target': name });
const onB = foundOn(other, 'name');
const label = '{"Labels":{"flotilla.node":"b"}}';

describe('a request on the cluster socket', () => {
  const rows: readonly (readonly [string, Asked, string | RegExp])[] = [
    ['alone: untouched', { url: '/v1.41/info', view: viewOf([]) }, 'here /v1.41/info'],
    ['alone, one is missing: merged', { url: '/info', view: viewOf([], [gone]) }, '200 merged info'],
    ['while joining', { url: '/containers/json', view: joining }, 'here /containers/json, joining'],
    [
      'a list of all while joining, strict',
      { url: '/containers/json', view: joining, strict: true },
      /^503 .*not found the others.*"reason":"joining"/,
    ],
    [
      'events while joining, strict',
      { url: '/events', view: joining, strict: true },
      /^503 .*not found the others/,
    ],
    ['a ping while joining, strict', { url: '/_ping', view: joining, strict: true }, 'here /_ping, joining'],
    [
      'a target while joining, strict',
      { url: '/info', view: joining, strict: true, headers: target('a') },
      'here /info, joining',
    ],
    ['alone and not joining, strict', { url: '/info', view: viewOf([]), strict: true }, 'here /info'],
    ['a list', { url: '/v1.40/containers/json?all=1' }, '200 merged containers'],
    ['events', { url: '/events' }, 'merged events'],
    ['events alone, where others may join', { url: '/events', view: viewOf([]) }, 'merged events'],
    ['events alone for good', { url: '/events', view: viewOf([]), mayGrow: false }, 'here /events'],
    ['events alone that end', { url: '/events?until=1', view: viewOf([]) }, 'here /events?until=1'],
    ['what only this engine answers', { method: 'POST', url: '/auth' }, 'here /auth'],
    ['what only managers answer', { url: '/v1.41/services' }, 'm /v1.41/services'],
    ['that, where no Swarm is', { url: '/services', view: noSwarm }, 'here /services'],
    ['a target', { url: '/v1.40/containers/json', headers: target('b') }, 'b /v1.40/containers/json'],
    ['an unknown target', { url: '/info', headers: target('x') }, /^400 .*no node is called \\"x\\"/],
    ['a target alone', { url: '/info', headers: target('x'), view: viewOf([]) }, /^400 .*no node is called/],
    [
      'a dead target',
      { url: '/info', headers: target('dead'), view: viewOf([], [gone]) },
      /^503 .*does not answer/,
    ],
    ['two targets', { url: '/info', headers: target('a, b') }, /^400 /],
    [
      'all as target of one',
      { method: 'POST', url: `/containers/${id}/start`, headers: target('*') },
      /^400 .*name one/,
    ],
    [
      'all as target of a prune',
      { method: 'POST', url: '/volumes/prune', headers: target('*') },
      '200 merged prune volumes',
    ],
    ['a prune', { method: 'POST', url: '/containers/prune' }, '200 merged prune containers'],
    [
      'a version that a target lacks',
      { url: '/v1.41/info', headers: target('b') },
      /^400 .*too new.*1\.40.*b speaks/,
    ],
    ['a version that not all have', { url: '/v1.41/containers/json' }, '200 merged containers'],
    [
      'a version that nobody has',
      { url: '/v1.60/containers/json' },
      /^400 .*too new. Maximum supported API version is 1\.41/,
    ],
    ['a read of what is elsewhere', { url: '/containers/web/json', found: onB }, 'b /containers/web/json'],
    [
      'a change of it',
      { method: 'POST', url: '/v1.40/containers/web/stop?t=1', found: onB },
      'b /v1.40/containers/web/stop?t=1',
    ],
    [
      'a prefix',
      { method: 'POST', url: '/containers/cc/stop', found: foundOn(other, 'prefix') },
      `b /containers/${id}/stop`,
    ],
    [
      'node/name',
      { method: 'POST', url: '/containers/b/web/stop', found: foundOn(other, 'node') },
      `b /containers/${id}/stop`,
    ],
    ['what nobody has', { url: '/containers/web/json' }, /^404 .*No such container: web/],
    [
      'an image that nobody has',
      { method: 'DELETE', url: '/images/c/d', found: nowhere },
      'here /images/c/d',
    ],
    [
      'an image that a named node has not',
      { method: 'DELETE', url: '/images/b/web', found: nowhere },
      /^404 said$/,
    ],
    [
      'an image that may be on a node that did not answer',
      { method: 'DELETE', url: '/images/web', found: { ...nowhere, unasked: [unheard] } },
      /^404 .*not asked: b/,
    ],
    [
      'commit',
      { method: 'POST', url: '/commit?container=cc&repo=x', found: foundOn(other, 'prefix') },
      `b /commit?container=${id}&repo=x`,
    ],
    ['commit of nothing', { method: 'POST', url: '/commit' }, 'here /commit'],
    [
      'connect',
      { method: 'POST', url: '/networks/n/connect', body: '{"Container":"web"}', found: onB },
      'b /networks/n/connect {"Container":"web"}',
    ],
    [
      'connect by node/name',
      {
        method: 'POST',
        url: '/networks/n/connect',
        body: '{"Container":"b/web"}',
        found: foundOn(other, 'node'),
      },
      `b /networks/n/connect {"Container":"${id}"}`,
    ],
    [
      'disconnect of a container that is no more',
      {
        method: 'POST',
        url: '/networks/n/disconnect',
        body: '{"Container":"web","Force":true}',
        found: nowhere,
      },
      'here /networks/n/disconnect {"Container":"web","Force":true}',
    ],
    [
      'disconnect of one that may be on a node that did not answer',
      {
        method: 'POST',
        url: '/networks/n/disconnect',
        body: '{"Container":"web"}',
        found: { ...nowhere, unasked: [unheard] },
      },
      /^404 .*not asked: b/,
    ],
    [
      'connect of nothing',
      { method: 'POST', url: '/networks/n/connect', body: '{}' },
      'here /networks/n/connect {}',
    ],
    ['a network', { url: '/networks/n', found: foundOn(other, 'name') }, '200 merged network'],
    ['images of several names', { url: '/images/get?names=x&names=y' }, 'b /images/get?names=x&names=y'],
    ['create', { method: 'POST', url: '/containers/create', body: '{}' }, 'here /containers/create {}'],
    [
      'create with the label',
      { method: 'POST', url: '/containers/create', body: label },
      `b /containers/create ${label}`,
    ],
    [
      'create with an unknown node',
      { method: 'POST', url: '/volumes/create', body: '{"Labels":{"flotilla.node":"x"}}' },
      /^400 .*no node is called/,
    ],
    [
      'create with an unknown node, alone',
      { method: 'POST', url: '/volumes/create', body: '{"Labels":{"flotilla.node":"x"}}', view: viewOf([]) },
      /^400 /,
    ],
    [
      'create alone in a version that was not known',
      { method: 'POST', url: '/v1.99/containers/create', body: '{}', view: viewOf([]) },
      'here /v1.99/containers/create {}',
    ],
    [
      'create of a namesake',
      { method: 'POST', url: '/containers/create?name=web', body: '{}', found: onB },
      '201 on a, as on b',
    ],
    [
      'create of an overlay',
      { method: 'POST', url: '/networks/create', body: '{"Driver":"overlay"}' },
      'm /networks/create {"Driver":"overlay"}',
    ],
    [
      'a body beyond its bound',
      { method: 'POST', url: '/containers/create', body: 'x'.repeat(4_194_305) },
      'failed request-invalid',
    ],
    ['an unknown route that asks', { url: '/nope' }, 'here /nope'],
    ['an unknown route that acts', { method: 'POST', url: '/nope' }, '404 {"message":"page not found"}'],
    [
      'members that do not obey: a target',
      { url: '/info', headers: target('b'), membersObey: false },
      /^503 .*secret/,
    ],
    ['members that do not obey: a manager', { url: '/services', membersObey: false }, 'here /services'],
  ];
  for (const [name, asked, expected] of rows) {
    it(`goes right: ${name}`, async () => {
      const went = await run(asked);
      if (typeof expected === 'string') assert.equal(went, expected);
      else assert.match(went, expected);
    });
  }

  const remembered = foundOn(other, 'id', { inspect: undefined });
  const declining: readonly (readonly [string, Asked, string | RegExp])[] = [
    ['gone', { url: `/containers/${id}/json`, found: remembered, foundAgain: nowhere }, /^404 said$/],
    [
      'elsewhere',
      { url: `/containers/${id}/json`, found: remembered, foundAgain: foundOn(manager, 'id') },
      `m /containers/${id}/json`,
    ],
    [
      'in a network that its worker does not know by name',
      {
        method: 'POST',
        url: '/networks/n/connect',
        body: '{"Container":"web"}',
        found: onB,
        foundAgain: foundOn(manager, 'name'),
      },
      `b /networks/${id}/connect {"Container":"web"}`,
    ],
  ];
  for (const [name, asked, expected] of declining) {
    it(`is observed once, though its owner declined it: what is ${name}`, async () => {
      const observed: string[] = [];
      const went = await run({ ...asked, observed });
      if (typeof expected === 'string') assert.equal(went, expected);
      else assert.match(went, expected);
      assert.deepEqual(observed, ['owner']);
    });
  }

  it('carries the headers of an engine on answers of ours', () => {
    const headers = createCommonHeaders({ facts: () => ({ engineVersion: '20.10', osType: 'linux' }) });
    const ours = ['Api-Version', '1.40', 'Ostype', 'linux', 'Server', 'Docker/20.10 (linux)'];
    assert.deepEqual(headers.ofOurs(three), ours);
    assert.equal(headers.ofEngine(three), headers.ofEngine(viewOf([manager, other])));
    assert.deepEqual(dockerError(404, 'x').headers, ['Content-Type', 'application/json']);
  });
});
