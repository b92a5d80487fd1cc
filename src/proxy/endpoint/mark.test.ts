// What `before` and `since` name, found over members that answer inspects as engines do.

import assert from 'node:assert/strict';
import { answeringNowMs, createAnsweringCluster, partOf } from '../../../test/support/answering-cluster.ts';
import { maxKnownOwners } from '../owner/known-owners.ts';
import { createLookup } from '../owner/lookup.ts';
import { createMarkLookup } from './mark.ts';

const id = 'a1'.padEnd(64, '0');
const created = '2026-11-22T06:00:00.123456789Z';

/** The nodes `n1`, `n2` and `n3`, that inspect as told. */
function markOf(
  resource: 'container' | 'image',
  name: string,
  inspect: (node: string) => unknown,
): Promise<unknown> {
  const cluster = createAnsweringCluster({
    nodes: [{ nodeName: 'n1' }, { nodeName: 'n2' }, { nodeName: 'n3' }],
    answer: (node) => {
      const found = inspect(node);
      return found === undefined ? partOf({ message: `No such ${resource}: ${name}` }, 404) : partOf(found);
    },
  });
  const now = (): number => answeringNowMs;
  const lookup = createLookup({ ask: cluster.ask, now }, { maxKnownOwners });
  const find = createMarkLookup({ lookup, now });
  return find(resource, name, cluster.call('/containers/json')).then((found) =>
    'status' in found
      ? { status: found.status, body: found.body.toString() }
      : { ...found, members: found.members.map(({ record }) => record.nodeName) },
  );
}

describe('mark', () => {
  const createdMs = Date.parse(created);

  it('is the container with its full id, whatever it was called', async () => {
    const inspect = (node: string): unknown =>
      node === 'n2' ? { Id: id, Name: '/web', Created: created } : undefined;
    for (const name of ['web', 'a1', id]) {
      const wanted = { members: ['n2'], id, name: id, createdMs };
      assert.deepEqual(await markOf('container', name, inspect), wanted, name);
    }
  });

  it('is the image on all nodes that have it, by the name that each can have of its own', async () => {
    const image = { Id: `sha256:${id}`, RepoTags: ['web:1'], Created: created };
    const inspect = (node: string): unknown => (node === 'n1' ? undefined : image);
    const byTag = await markOf('image', 'web:1', inspect);
    assert.deepEqual(byTag, { members: ['n2', 'n3'], id: image.Id, name: 'web:1', createdMs });
    const byId = await markOf('image', id.slice(0, 12), inspect);
    assert.deepEqual(byId, { members: ['n2', 'n3'], id: image.Id, name: image.Id, createdMs });
  });

  it('is 404 for nobody, 409 for two, and 502 for one without a date', async () => {
    const statusOf = async (inspect: (node: string) => unknown): Promise<unknown> => {
      const found = await markOf('container', 'web', inspect);
      return typeof found === 'object' && found !== null && 'status' in found ? found.status : found;
    };
    assert.equal(await statusOf(() => undefined), 404);
    const other = 'b2'.padEnd(64, '0');
    assert.equal(
      await statusOf((node) => ({ Id: node === 'n1' ? id : other, Name: '/web', Created: created })),
      409,
    );
    assert.equal(await statusOf((node) => (node === 'n1' ? { Id: id, Name: '/web' } : undefined)), 502);
  });
});
