// What one engine's answer to an inspect says about a name: a table of answers as engines give them.

import assert from 'node:assert/strict';
import type { Outcome } from '../fan-out.ts';
import type { OwnedResource } from '../routes/route.ts';
import { type Claim, claimOf } from './claim.ts';

const id = 'abc123'.padEnd(64, '0');
const container = { Id: id, Name: '/web' };
const image = { Id: `sha256:${id}`, RepoTags: ['app:1', 'app:latest'], RepoDigests: ['app@sha256:ff'] };
const network = { Id: id, Name: 'net', Scope: 'local' };
const overlay = { Id: 'z1y2x3', Name: 'net', Scope: 'swarm' };
const volume = { Name: 'data', Driver: 'local', Scope: 'local' };

const told = (resource: OwnedResource, name: string, status: number, body: unknown): string =>
  toText(claimOf(resource, name, { node: 'n', outcome: { kind: 'answer', part: partOf(status, body) } }));

function partOf(status: number, body: unknown): (Outcome & { kind: 'answer' })['part'] {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { status, rawHeaders: ['Content-Type', 'application/json'], body: Buffer.from(text) };
}

function toText(claim: Claim): string {
  if (claim.kind === 'holds') return `${claim.rank} ${claim.name} ${claim.identity ?? 'here only'}`;
  return claim.kind === 'ambiguous' ? `ambiguous ${claim.rank}` : claim.kind;
}

describe('claimOf', () => {
  const clusterVolume = { ...volume, ClusterVolume: { ID: 'vol1abc' } };
  const held: readonly [OwnedResource, string, object, string][] = [
    ['container', id, container, 'exact-id web here only'],
    ['container', 'web', container, 'exact-name web here only'],
    ['container', 'abc', container, 'prefix web here only'],
    ['container', 'abc', { Id: id, Name: '/abc' }, 'exact-name abc here only'],
    ['container', id, { Id: '9'.repeat(64), Name: `/${id}` }, `exact-name ${id} here only`],
    ['container', 'front/db', container, 'exact-name web here only'], // the alias of a link
    ['exec', id, { ID: id, ContainerID: '1' }, `exact-id ${id} here only`],
    ['image', id, image, `exact-id app:1 sha256:${id}`],
    ['image', `sha256:${id}`, image, `exact-id app:1 sha256:${id}`],
    ['image', 'abc', image, `prefix app:1 sha256:${id}`],
    ['image', 'sha256:abc', image, `prefix app:1 sha256:${id}`],
    ['image', 'app', image, `exact-name app sha256:${id}`],
    ['image', 'docker.io/library/app:1', image, `exact-name docker.io/library/app:1 sha256:${id}`],
    ['image', 'abc', { ...image, RepoTags: ['abc:latest'] }, `exact-name abc sha256:${id}`],
    ['image', 'abc', { ...image, RepoTags: ['abc:1'] }, `prefix abc:1 sha256:${id}`],
    ['image', 'sha256:abc', { ...image, RepoTags: ['sha256:abc'] }, `exact-name sha256:abc sha256:${id}`],
    ['image', 'abc', { ...image, RepoTags: null }, `prefix sha256:${id} sha256:${id}`],
    ['volume', 'data', volume, 'exact-name data here only'],
    ['volume', 'data', { ...volume, Driver: 'nfs', Scope: 'global' }, 'exact-name data nfs/data'],
    ['volume', 'data', clusterVolume, 'exact-name data vol1abc'],
    ['volume', 'vol1abc', clusterVolume, 'exact-id data vol1abc'],
    ['volume', 'vol1', clusterVolume, 'prefix data vol1abc'],
    ['network', id, network, 'exact-id net here only'],
    ['network', 'net', network, 'exact-name net here only'],
    ['network', 'abc', network, 'prefix net here only'],
    ['network', 'net', overlay, 'exact-name net z1y2x3'],
    ['network', 'z1', overlay, 'prefix net z1y2x3'],
  ];
  for (const [resource, name, body, expected] of held)
    it(`${resource} ${name.slice(0, 30)} is ${expected.slice(0, 30)}`, () =>
      assert.equal(told(resource, name, 200, body), expected));

  const notHeld: readonly [OwnedResource, number, unknown, string][] = [
    ['container', 404, { message: 'No such container: abc' }, 'none'],
    ['container', 500, { message: 'Multiple IDs found with provided prefix: abc' }, 'ambiguous prefix'],
    ['container', 400, { message: 'Multiple IDs found with provided prefix: abc' }, 'ambiguous prefix'],
    [
      'network',
      400,
      { message: 'network abc is ambiguous (2 matches found on name)' },
      'ambiguous exact-name',
    ],
    [
      'network',
      500,
      { message: '2 matches found based on name: network abc is ambiguous' },
      'ambiguous exact-name',
    ],
    [
      'network',
      400,
      { message: 'network abc is ambiguous (2 matches found based on ID prefix)' },
      'ambiguous prefix',
    ],
    ['image', 400, { message: 'invalid reference format' }, 'refused'],
    ['image', 400, { message: 'ambiguous reference: abc' }, 'ambiguous prefix'],
    ['container', 500, { message: 'disk on fire' }, 'unknown'],
    ['container', 502, '', 'unknown'],
    ['container', 403, { message: 'forbidden' }, 'unknown'],
    ['container', 301, '', 'unknown'],
    ['container', 200, '', 'unknown'],
    ['container', 200, '[]', 'unknown'],
    ['container', 200, '"web"', 'unknown'],
    ['container', 200, '{"Id":"x"', 'unknown'],
    ['container', 200, {}, 'unknown'],
    ['container', 200, { Id: 1, Name: '/web' }, 'unknown'],
    ['image', 200, { Id: '' }, 'unknown'],
    ['volume', 200, { Name: null }, 'unknown'],
    ['network', 200, { Id: id }, 'unknown'],
  ];
  for (const [resource, status, body, expected] of notHeld)
    it(`${status} ${JSON.stringify(body).slice(0, 60)} for a ${resource} is ${expected}`, () =>
      assert.equal(told(resource, 'abc', status, body), expected));

  it('knows nothing of a node that did not answer', () => {
    const outcome: Outcome = { kind: 'missing', reason: 'timeout', sinceMs: 1 };
    assert.deepEqual(claimOf('container', 'web', { node: 'n', outcome }), { kind: 'unknown' });
  });
});
