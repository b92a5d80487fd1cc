// Who passes for Compose, and which of its projects are on several nodes, as tables.

import assert from 'node:assert/strict';
import type { Member } from '../../cluster/cluster.ts';
import { scanItems } from '../scan-items.ts';
import { labelList } from '../splice-label.ts';
import { composeProjectOf, refuseScattered } from './compose-project.ts';
import { parseListQuery } from './filters.ts';
import type { ListPart } from './lists-merge.ts';

const project = 'com.docker.compose.project=app';
const byCompose1 = ['Host', 'docker', 'User-Agent', 'docker-compose/1.29.2 docker-py/5.0.3 Linux/6.1'];
const byCompose2 = ['user-agent', 'compose/v2.40.0'];
const byCli = ['User-Agent', 'Docker-Client/28.5.0 (linux)'];

function projectIn(labels: unknown, rawHeaders: readonly string[]): string | undefined {
  const filters = encodeURIComponent(JSON.stringify({ label: labels }));
  return composeProjectOf(parseListQuery(`?all=1&filters=${filters}`), rawHeaders);
}

describe('compose project', () => {
  const cases: readonly (readonly [string, unknown, readonly string[], string | undefined])[] = [
    ['Compose 1, at `down`', [project], byCompose1, 'app'],
    ['Compose 2', { [project]: true }, byCompose2, 'app'],
    ['Compose 2 as a plugin', { [project]: true, 'com.docker.compose.config-hash': true }, byCli, 'app'],
    ['Compose 1 behind something else', [project, 'com.docker.compose.oneoff=False'], [], 'app'],
    ['a person', { [project]: true }, byCli, undefined],
    ['a log viewer', { 'com.docker.compose.project': true }, byCli, undefined],
    ['`compose ls`', { 'com.docker.compose.project': true }, byCompose2, undefined],
    ['another label', ['com.docker.compose.projects=app'], byCompose1, undefined],
    ['a name that is a value of a header', [project], ['X', 'User-Agent', 'compose/', 'X'], undefined],
  ];
  for (const [who, labels, rawHeaders, expected] of cases) {
    it(`is ${expected ?? 'not meant'} for ${who}`, () => {
      assert.equal(projectIn(labels, rawHeaders), expected);
    });
  }

  it('is none in filters that an engine refuses', () => {
    assert.equal(composeProjectOf(parseListQuery('?filters=[]'), byCompose1), undefined);
    assert.equal(composeProjectOf(parseListQuery('?filters={"label":3}'), byCompose1), undefined);
  });
});

describe('the containers of a compose project', () => {
  const own = { Id: 'a', Labels: { x: 'y' } };
  const placed = (node: string): object => ({ Id: 'b', Labels: { 'flotilla.node': node, x: 'y' } });
  const part = (nodeName: string, ...items: readonly object[]): ListPart => ({
    // Nothing else of a member is looked at.
    member: { record: { nodeName } } as Member,
    items: scanItems(labelList(Buffer.from(JSON.stringify(items)), nodeName), ['Created', 'Id']),
  });
  const allowed: readonly (readonly [string, readonly ListPart[]])[] = [
    ['nowhere', [part('node-1'), part('node-2')]],
    ['on one node', [part('node-1'), part('node-2', own, own)]],
    [
      'on one node, and elsewhere where they were placed',
      [part('node-1', own), part('node-2', placed('node-2'))],
    ],
    [
      'on several nodes where they were placed',
      [part('node-1', placed('node-1')), part('node-2', placed('node-2'))],
    ],
    ['without labels', [part('node-1', { Id: 'a' }), part('node-2', placed('node-2'))]],
  ];
  for (const [where, parts] of allowed) {
    it(`are listed when they are ${where}`, () => assert.equal(refuseScattered('app', parts), undefined));
  }

  for (const [where, parts] of [
    ['on two nodes', [part('node-1', own), part('node-2', own)]],
    ['on two nodes without labels', [part('node-1', { Id: 'a' }), part('node-2', { Id: 'b', Labels: null })]],
    ['placed on a node that has another one', [part('node-1', own), part('node-2', placed('node-2'), own)]],
  ] as const) {
    it(`are refused with both nodes and a remedy when they are ${where}`, () => {
      const answer = refuseScattered('app', parts);
      assert.equal(answer?.status, 409);
      const { message, nodes } = JSON.parse(String(answer?.body));
      assert.match(
        message,
        /project app: node-1, node-2; use the socket of one, such as nodes\/node-1\.sock/,
      );
      assert.deepEqual(nodes, ['node-1', 'node-2']);
    });
  }
});
