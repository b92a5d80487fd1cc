// `docker info` over the cluster, made of what two real engines said.

import assert from 'node:assert/strict';
import { answeringNowMs, createAnsweringCluster, partOf } from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { memberOf } from '../../../test/support/fake-peer.ts';
import { AgentError } from '../../errors.ts';
import type { FetchedPart } from '../proxy.ts';
import { createInfo } from './info.ts';
import { mergeInfo } from './info-merge.ts';
import type { ObjectPart } from './settle-objects.ts';

const now = (): number => answeringNowMs;
// Called on the worker: the manager's word must count all the same.
const nodes = [{ nodeName: 'node-2' }, { nodeName: 'node-1', role: 'manager' as const, leader: true }];
const infoOf = (node: string): FetchedPart =>
  recordedAnswer(node === 'node-1' ? 'node-1' : 'node-2', 'GET /info');

function real(node: string, path: string): FetchedPart {
  if (path.endsWith('/info')) return infoOf(node);
  assert.match(path, /^(\/v[\d.]+)?\/images\/json\?all=1$/);
  return recordedAnswer(node === 'node-1' ? 'node-1' : 'node-2', 'GET /images/json?all=1');
}

describe('info of a cluster', () => {
  it("is the manager's, with what can be counted counted over all", async () => {
    const { ask, call, asked } = createAnsweringCluster({
      nodes,
      answer: (node, { path }) => real(node, path),
    });
    const { status, body } = await createInfo({ ask, now })(call('/v1.41/info'));
    assert.equal(status, 200);
    assert.equal(asked.length, 4);
    const manager = JSON.parse(String(infoOf('node-1').body));
    const worker = JSON.parse(String(infoOf('node-2').body));
    const summed = [
      'Containers',
      'ContainersRunning',
      'ContainersPaused',
      'ContainersStopped',
      'NCPU',
      'MemTotal',
    ];
    const sums = Object.fromEntries(summed.map((key) => [key, manager[key] + worker[key]]));
    const { Warnings: warnings, ...rest } = JSON.parse(String(body));
    const { Warnings: own, ...expected } = manager;
    assert.deepEqual(rest, { ...expected, ...sums, Images: 2 });
    const prefixed = (node: string, texts: readonly string[] | null): string[] =>
      (texts ?? []).map((text) => `${node}: ${text}`);
    const all = [...prefixed('node-2', worker.Warnings), ...prefixed('node-1', own)];
    assert.deepEqual(warnings, all.length === 0 ? own : all);
  });

  const part = (node: string, value: object, record: object = {}): ObjectPart => {
    return { node, member: memberOf({ nodeName: node, ...record }), value: { ...value } };
  };

  it('counts the same image on two nodes once, and trusts the number of a node that did not list them', () => {
    const merged = mergeInfo({
      parts: [part('a', { Images: 3 }), part('b', { Images: 2 }), part('c', { Images: 7 })],
      missing: [],
      imageIds: new Map([
        ['engine-a', ['x', 'y', 'z']],
        ['engine-b', ['x', 'w']],
      ]),
    });
    assert.deepEqual(merged, { Images: 4 + 7 });
  });

  it('keeps of the plugins what every node has', () => {
    const plugins = (volume: readonly string[], log: readonly string[] | null): object => ({
      Plugins: { Volume: volume, Authorization: null, Log: log },
    });
    const merged = mergeInfo({
      parts: [part('a', plugins(['local', 'nfs'], ['json-file'])), part('b', plugins(['local'], null))],
      missing: [],
      imageIds: new Map(),
    });
    assert.deepEqual(merged.Plugins, { Volume: ['local'], Authorization: null, Log: [] });
  });

  it('warns of a node that is not counted', async () => {
    const { ask, call } = createAnsweringCluster({
      nodes,
      missing: [{ nodeName: 'node-3', engineId: 'engine-3', reason: 'dead', sinceMs: answeringNowMs }],
      answer: (node, { path }) => {
        if (node === 'node-1') throw new AgentError('timeout', 'no answer');
        return path.includes('/images/')
          ? partOf([{ Id: 'x' }])
          : partOf({ Name: node, Images: 9, Warnings: null });
      },
    });
    const { body, headers } = await createInfo({ ask, now })(call('/info'));
    assert.deepEqual(JSON.parse(String(body)), {
      Name: 'node-2',
      Images: 1,
      Warnings: [
        'node-1: WARNING: no answer (timeout), so it is not counted',
        'node-3: WARNING: no answer (dead), so it is not counted',
      ],
    });
    assert.equal(headers[headers.indexOf('Flotilla-Nodes') + 1], 'asked=3, answered=1, missing=2');
  });

  it('leaves null for no warnings where engines write null', () => {
    const merged = mergeInfo({ parts: [part('a', { Warnings: null })], missing: [], imageIds: new Map() });
    assert.equal(merged.Warnings, null);
  });

  it('prefers the leader, then another manager, then this node', () => {
    const standing = (records: readonly object[]): unknown =>
      mergeInfo({
        parts: records.map((record, index) => part(`n${index}`, { Name: `n${index}` }, record)),
        missing: [],
        imageIds: new Map(),
      }).Name;
    assert.equal(standing([{}, { role: 'manager' }, { role: 'manager', leader: true }]), 'n2');
    assert.equal(standing([{}, { role: 'manager' }]), 'n1');
    assert.equal(standing([{}, {}]), 'n0');
  });
});
