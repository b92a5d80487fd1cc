// Prune over the cluster: one report of many, in the engine's own form, and what each node did beside it.

import assert from 'node:assert/strict';
import {
  type AnsweringClusterOptions,
  answeringNowMs,
  createAnsweringCluster,
  partOf,
} from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { AgentError } from '../../errors.ts';
import type { Answer } from '../../exchange.ts';
import { createPrune } from './prune.ts';

const now = (): number => answeringNowMs;
const nodes = [{ nodeName: 'a', role: 'manager' as const }, { nodeName: 'b' }];
const dead = { nodeName: 'c', engineId: 'engine-c', reason: 'dead', sinceMs: answeringNowMs } as const;
const post = { method: 'POST' };
const bodyOf = ({ body }: Answer): unknown => JSON.parse(String(body));
const filters = (value: object): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;

describe('prune of a cluster', () => {
  const cluster = (options: Partial<AnsweringClusterOptions>) =>
    createAnsweringCluster({ nodes, answer: () => partOf({}), ...options });

  it('adds up what real engines reported', async () => {
    const { ask, call, asked } = cluster({
      answer: (node) => recordedAnswer(node === 'a' ? 'node-1' : 'node-2', 'POST /networks/prune'),
    });
    const prune = createPrune({ ask, now }, { everywhere: 'by-default' });
    const answer = await prune(call(`/v1.41/networks/prune?${filters({ label: ['x'] })}`, post));
    assert.deepEqual(bodyOf(answer), {
      NetworksDeleted: ['spare'],
      Flotilla: {
        Nodes: [
          { Node: 'a', NetworksDeleted: ['spare'] },
          { Node: 'b', NetworksDeleted: ['spare'] },
        ],
      },
    });
    for (const { method, path, rawHeaders, firstByteMs } of asked) {
      // To give up would end it halfway.
      assert.ok(firstByteMs >= 60 * 60_000);
      assert.equal(`${method} ${path}`, `POST /v1.41/networks/prune?${filters({ label: ['x'] })}`);
      // Nothing is sent behind the head.
      assert.deepEqual(rawHeaders, ['Host', 'docker', 'User-Agent', 'test']);
    }
  });

  it('joins lists and adds space, and keeps null where all say null', async () => {
    const reports = {
      a: {
        ImagesDeleted: [{ Untagged: 'x' }, { Deleted: 'sha256:1' }],
        CachesDeleted: null,
        SpaceReclaimed: 5,
      },
      b: { ImagesDeleted: null, CachesDeleted: null, SpaceReclaimed: 7 },
    };
    const { ask, call } = cluster({ answer: (node) => partOf(node === 'a' ? reports.a : reports.b) });
    const answer = await createPrune({ ask, now }, { everywhere: 'by-default' })(call('/images/prune', post));
    assert.deepEqual(bodyOf(answer), {
      ImagesDeleted: reports.a.ImagesDeleted,
      CachesDeleted: null,
      SpaceReclaimed: 12,
      Flotilla: {
        Nodes: [
          { Node: 'a', ...reports.a },
          { Node: 'b', ...reports.b },
        ],
      },
    });
  });

  it('reports a node that refuses, or does not answer, beside those that did it', async () => {
    const { ask, call } = cluster({
      nodes: [...nodes, { nodeName: 'd' }],
      missing: [dead],
      answer: (node) => {
        if (node === 'd') throw new AgentError('timeout', 'no answer');
        if (node === 'b') return partOf({ message: 'a prune operation is already running' }, 409);
        return partOf({ ContainersDeleted: ['x'], SpaceReclaimed: 1 });
      },
    });
    const answer = await createPrune(
      { ask, now },
      { everywhere: 'by-default' },
    )(call('/containers/prune', post));
    assert.deepEqual(bodyOf(answer), {
      ContainersDeleted: ['x'],
      SpaceReclaimed: 1,
      Flotilla: {
        Nodes: [
          { Node: 'a', ContainersDeleted: ['x'], SpaceReclaimed: 1 },
          { Node: 'b', Error: 'a prune operation is already running', Status: 409 },
          { Node: 'd', Error: 'no answer (timeout)' },
          { Node: 'c', Error: 'no answer (dead)' },
        ],
      },
    });
    assert.equal(
      answer.headers[answer.headers.indexOf('Flotilla-Nodes') + 1],
      'asked=4, answered=1, missing=3',
    );
  });

  it('is the refusal that all engines give', async () => {
    const { ask, call } = cluster({
      answer: () => recordedAnswer('node-1', 'POST /containers/prune?filters=%7B%22x%22%3A%5B%22y%22%5D%7D'),
    });
    const prune = createPrune({ ask, now }, { everywhere: 'by-default' });
    const answer = await prune(call(`/containers/prune?${filters({ x: ['y'] })}`, post));
    assert.deepEqual([answer.status, bodyOf(answer)], [400, { message: "Invalid filter 'x'" }]);
  });

  it('runs where the filter `node` says, and says when there is no such node', async () => {
    const { ask, call, asked } = cluster({});
    const prune = createPrune({ ask, now }, { everywhere: 'when-told' });
    await prune(call(`/volumes/prune?${filters({ node: ['b'], label: ['x'] })}`, post));
    assert.deepEqual(
      asked.map(({ node, path }) => [node, path]),
      [['b', `/volumes/prune?${filters({ label: ['x'] })}`]],
    );
    const answer = await prune(call(`/volumes/prune?${filters({ node: { bee: true } })}`, post));
    assert.equal(answer.status, 400);
    const nobody = await prune(call(`/volumes/prune?${filters({ node: { b: false } })}`, post));
    assert.equal(nobody.status, 400);
    assert.equal(asked.length, 1);
  });

  const volumes: readonly (readonly [string, readonly string[], boolean])[] = [
    ['without a target', [], false],
    ['with a target *', ['X-PortainerAgent-Target', '*'], true],
    ['with * in another case of the header', ['x-portaineragent-target', '*'], true],
    ['with * twice', ['X-PortainerAgent-Target', '*', 'X-PortainerAgent-Target', '*'], false],
    ['with * as the value of another header', ['X-Other', 'x-portaineragent-target', '*', 'x'], false],
  ];
  for (const [name, rawHeaders, runs] of volumes) {
    it(`${runs ? 'prunes' : 'refuses to prune'} volumes everywhere ${name}`, async () => {
      const { ask, call, asked } = cluster({
        answer: () => partOf({ VolumesDeleted: ['v'], SpaceReclaimed: 1 }),
      });
      const prune = createPrune({ ask, now }, { everywhere: 'when-told' });
      const answer = await prune(call('/volumes/prune', { ...post, rawHeaders }));
      assert.equal(asked.length, runs ? 2 : 0);
      if (runs)
        assert.partialDeepStrictEqual(bodyOf(answer), { VolumesDeleted: ['v', 'v'], SpaceReclaimed: 2 });
      else {
        assert.equal(answer.status, 400);
        assert.match(String(answer.body), /X-PortainerAgent-Target/);
      }
    });
  }

  it('refuses under strict before anything is deleted, and reports all the same what was', async () => {
    const lame = cluster({ missing: [dead] });
    const prune = createPrune({ ask: lame.ask, now }, { everywhere: 'by-default' });
    const strict = { ...post, strict: true };
    assert.equal((await prune(lame.call('/containers/prune', strict))).status, 503);
    assert.equal(lame.asked.length, 0);
    // Who is not wanted is not missed.
    const only = await prune(lame.call(`/containers/prune?${filters({ node: ['a'] })}`, strict));
    assert.equal(only.status, 200);

    const failing = cluster({
      answer: (node) => {
        if (node === 'b') throw new AgentError('timeout', 'no answer');
        return partOf({ ContainersDeleted: ['x'], SpaceReclaimed: 1 });
      },
    });
    const answer = await createPrune(
      { ask: failing.ask, now },
      { everywhere: 'by-default' },
    )(failing.call('/containers/prune', strict));
    assert.equal(answer.status, 200);
    assert.partialDeepStrictEqual(bodyOf(answer), { ContainersDeleted: ['x'] });
  });
});
