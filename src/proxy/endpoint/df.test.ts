// Disk usage over the cluster: what two real engines said, the forms of later API versions, and what happens to holes.

import assert from 'node:assert/strict';
import { answeringNowMs, createAnsweringCluster, partOf } from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import type { FetchedPart } from '../proxy.ts';
import { createDf } from './df.ts';
import { mergeDf } from './df-merge.ts';

const now = (): number => answeringNowMs;
const nodes = [{ nodeName: 'node-1', role: 'manager' as const, leader: true }, { nodeName: 'node-2' }];

describe('df of a cluster', () => {
  it('joins what real engines have, and names the node of each item that has labels', async () => {
    const answer = (node: string): FetchedPart =>
      recordedAnswer(node === 'node-1' ? 'node-1' : 'node-2', 'GET /system/df');
    const { ask, call, asked } = createAnsweringCluster({ nodes, answer });
    const { status, body, headers } = await createDf({ ask, now })(call('/v1.41/system/df?type=image'));
    assert.equal(status, 200);
    assert.deepEqual(headers.slice(-2), ['Flotilla-Nodes', 'asked=2, answered=2, missing=0']);
    assert.deepEqual(
      asked.map(({ path }) => path),
      ['/v1.41/system/df?type=image', '/v1.41/system/df?type=image'],
    );
    const merged = JSON.parse(String(body));
    const [one, two] = nodes.map(({ nodeName }) => JSON.parse(String(answer(nodeName).body)));
    assert.deepEqual(Object.keys(merged), Object.keys(one));
    assert.equal(merged.LayersSize, one.LayersSize + two.LayersSize);
    for (const kind of ['Images', 'Containers', 'Volumes']) {
      const items = [...one[kind].map(labelled('node-1')), ...two[kind].map(labelled('node-2'))];
      assert.ok(items.length > 2 || kind === 'Images');
      assert.deepEqual(merged[kind], items);
    }
    // Neither built anything; engines write null for that.
    assert.deepEqual([one.BuildCache, two.BuildCache, merged.BuildCache], [null, null, null]);
  });

  it('adds up the usage objects of API 1.52, and joins their items', () => {
    const usage = (count: number, items?: readonly object[]): object => ({
      ActiveCount: count,
      TotalCount: 2 * count,
      Reclaimable: 10 * count,
      TotalSize: 100 * count,
      ...(items === undefined ? {} : { Items: items }),
    });
    const merged = mergeDf([
      {
        node: 'a',
        value: {
          ImageUsage: usage(1, [{ Id: 'i', Labels: null }]),
          VolumeUsage: usage(1, [{ Name: 'v', Scope: 'global' }]),
          BuildCacheUsage: usage(1, [{ ID: 'b' }]),
        },
      },
      {
        node: 'b',
        value: { ImageUsage: usage(2, [{ Id: 'i', Labels: { x: 'y' } }]), ContainerUsage: usage(2) },
      },
    ]);
    assert.deepEqual(merged, {
      ImageUsage: usage(3, [
        { Id: 'i', Labels: { 'flotilla.node': 'a' } },
        { Id: 'i', Labels: { x: 'y', 'flotilla.node': 'b' } },
      ]),
      // What belongs to no node names none; build cache has no labels.
      VolumeUsage: usage(1, [{ Name: 'v', Scope: 'global' }]),
      BuildCacheUsage: usage(1, [{ ID: 'b' }]),
      ContainerUsage: usage(2),
    });
  });

  it('keeps both forms where an engine gives both, null where there is nothing, and what it does not know', () => {
    const value = {
      LayersSize: 1,
      Images: null,
      Containers: null,
      ImageUsage: { TotalSize: 1, Reclaimable: -1 },
      New: 'x',
    };
    const other = { ...value, LayersSize: -1, Images: [{ Id: 'i' }], New: 'y' };
    assert.deepEqual(
      mergeDf([
        { node: 'a', value },
        { node: 'b', value: other },
      ]),
      {
        LayersSize: 1,
        Images: [{ Id: 'i', Labels: { 'flotilla.node': 'b' } }],
        Containers: null,
        ImageUsage: { TotalSize: 2, Reclaimable: -1 },
        New: 'x',
      },
    );
  });

  it('keeps numbers that JavaScript cannot hold', async () => {
    const { ask, call } = createAnsweringCluster({
      nodes,
      answer: () => partOf('{"LayersSize":9007199254740993,"Images":[{"Id":"i","Size":9007199254740993}]}'),
    });
    const { body } = await createDf({ ask, now })(call('/system/df'));
    assert.match(String(body), /^\{"LayersSize":18014398509481986,/);
    assert.equal(String(body).match(/"Size":9007199254740993/g)?.length, 2);
  });

  it('says who is missing, and refuses a hole where none is allowed', async () => {
    const answer = (node: string): FetchedPart =>
      node === 'node-1' ? partOf({ LayersSize: 1 }) : partOf('[]');
    const { ask, call } = createAnsweringCluster({ nodes, answer });
    const df = createDf({ ask, now });
    const { status, headers } = await df(call('/system/df'));
    assert.equal(status, 200);
    assert.deepEqual(headers.slice(-4), [
      'Flotilla-Nodes',
      'asked=2, answered=1, missing=1',
      'Flotilla-Missing',
      'node-2;reason=bad-answer;status=200;age=0',
    ]);
    assert.equal((await df(call('/system/df', { strict: true }))).status, 503);
  });

  it('passes on what all engines refuse', async () => {
    const { ask, call } = createAnsweringCluster({
      nodes,
      answer: () => partOf({ message: 'no such type' }, 400),
    });
    const { status, body } = await createDf({ ask, now })(call('/system/df?type=x'));
    assert.deepEqual([status, String(body)], [400, '{"message":"no such type"}\n']);
  });

  it('counts once for calls alike that wait together', async () => {
    const gate = Promise.withResolvers<void>();
    const { ask, call, asked } = createAnsweringCluster({
      nodes,
      answer: async () => {
        await gate.promise;
        return partOf({ LayersSize: 1 });
      },
    });
    const df = createDf({ ask, now });
    const first = df(call('/system/df'));
    const rest = [1, 2, 3, 4].map(() => df(call('/system/df')));
    gate.resolve();
    for (const answer of await Promise.all([first, ...rest])) assert.equal(answer.status, 200);
    // The first alone, and one for all that came while it was under way.
    assert.equal(asked.length, 2 * nodes.length);
  });

  it('shares no count between those who see different members', async () => {
    const gate = Promise.withResolvers<void>();
    const { ask, call } = createAnsweringCluster({
      nodes,
      answer: async (node) => {
        await gate.promise;
        return partOf({ LayersSize: node === 'node-1' ? 1 : 10 });
      },
    });
    const df = createDf({ ask, now });
    const first = df(call('/system/df'));
    const { view } = call('/');
    const alone = { ...view, members: view.members.slice(0, 1) };
    // Both came while the first was under way.
    const rest = [call('/system/df'), call('/system/df', { view: alone })].map((asked) => df(asked));
    gate.resolve();
    const sizes = (await Promise.all([first, ...rest])).map(
      ({ body }) => JSON.parse(String(body)).LayersSize,
    );
    assert.deepEqual(sizes, [11, 11, 1]);
  });
});

function labelled(node: string): (item: { readonly Labels: object | null }) => object {
  return (item) => ({ ...item, Labels: { ...item.Labels, 'flotilla.node': node } });
}
