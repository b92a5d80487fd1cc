// Pings over the cluster: what an engine of its own would be asked for, and how seldom the others are.

import assert from 'node:assert/strict';
import { answeringNowMs, createAnsweringCluster } from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { createViews, memberOf } from '../../../test/support/fake-peer.ts';
import { AgentError } from '../../errors.ts';
import type { FetchedPart } from '../proxy.ts';
import { createPing } from './ping.ts';
import { type PingFacts, pingFactsOf, pingHeaders } from './ping-facts.ts';

/** As engines from 23.0 on answer. */
function pinged(headers: Readonly<Record<string, string>>): FetchedPart {
  const all = {
    'Api-Version': '1.43',
    'Cache-Control': 'no-cache',
    ...headers,
    Server: 'Docker/24',
    Ostype: 'linux',
  };
  return { status: 200, rawHeaders: Object.entries(all).flat(), body: Buffer.from('OK') };
}

const buildKit = { 'Builder-Version': '2', 'Docker-Experimental': 'true' };
const legacy = { 'Builder-Version': '1', 'Docker-Experimental': 'false' };
const workers = createViews([memberOf({ nodeName: 'b' })]).view();
const withManager = createViews([memberOf({ nodeName: 'b', role: 'manager' })]).view();

describe('ping headers of a cluster', () => {
  const cases: readonly (readonly [
    string,
    FetchedPart,
    readonly PingFacts[],
    typeof workers,
    readonly string[],
  ])[] = [
    [
      'its own while nothing is known',
      pinged(buildKit),
      [],
      workers,
      ['Cache-Control', 'no-cache', 'Builder-Version', '2', 'Docker-Experimental', 'true'],
    ],
    [
      'BuildKit where all have it',
      pinged(buildKit),
      [pingFactsOf(pinged(buildKit))],
      workers,
      ['Cache-Control', 'no-cache', 'Builder-Version', '2', 'Docker-Experimental', 'true'],
    ],
    [
      'the least where one has not',
      pinged(buildKit),
      [pingFactsOf(pinged(buildKit)), pingFactsOf(pinged(legacy))],
      workers,
      ['Cache-Control', 'no-cache', 'Builder-Version', '1', 'Docker-Experimental', 'false'],
    ],
    [
      'the least where one says nothing of it',
      pinged(buildKit),
      [pingFactsOf(pinged({}))],
      workers,
      ['Cache-Control', 'no-cache', 'Builder-Version', '1', 'Docker-Experimental', 'false'],
    ],
    [
      'not more than its own',
      pinged(legacy),
      [pingFactsOf(pinged(buildKit))],
      workers,
      ['Cache-Control', 'no-cache', 'Builder-Version', '1', 'Docker-Experimental', 'false'],
    ],
    [
      'a manager that is elsewhere',
      pinged({ Swarm: 'active/worker' }),
      [],
      withManager,
      ['Cache-Control', 'no-cache', 'Swarm', 'active/manager'],
    ],
    [
      'a manager though the engine is too old to speak of it',
      pinged({}),
      [],
      withManager,
      ['Cache-Control', 'no-cache', 'Swarm', 'active/manager'],
    ],
    [
      'no manager where none is',
      pinged({ Swarm: 'inactive' }),
      [],
      workers,
      ['Cache-Control', 'no-cache', 'Swarm', 'inactive'],
    ],
  ];
  for (const [name, own, others, view, headers] of cases) {
    it(`say ${name}`, () => assert.deepEqual(pingHeaders(own.rawHeaders, others, view), headers));
  }

  it('leave out of a real answer what describes the connection, or is added to each answer', () => {
    const { rawHeaders } = recordedAnswer('node-1', 'GET /_ping');
    assert.deepEqual(pingHeaders(rawHeaders, [], workers), [
      ...['Cache-Control', 'no-cache, no-store, must-revalidate', 'Docker-Experimental', 'false'],
      ...['Pragma', 'no-cache', 'Content-Type', 'text/plain; charset=utf-8'],
    ]);
  });
});

describe('ping of a cluster', () => {
  const nodes = [{ nodeName: 'a' }, { nodeName: 'b' }, { nodeName: 'c' }];
  const builderOf = (headers: readonly string[]): string | undefined =>
    headers[headers.indexOf('Builder-Version') + 1];

  it('asks only this engine, and the others once in thirty seconds, or when one has changed', async () => {
    let nowMs = answeringNowMs;
    let others = buildKit;
    const { ask, call, asked } = createAnsweringCluster({
      nodes,
      answer: (node) => pinged(node === 'a' ? buildKit : others),
    });
    const ping = createPing({ ask, now: () => nowMs });
    const askedOf = (node: string): number => asked.filter((one) => one.node === node).length;
    const first = await ping(call('/_ping'));
    assert.deepEqual([first.status, String(first.body), builderOf(first.headers)], [200, 'OK', '2']);
    for (let i = 0; i < 20; i += 1) await ping(call('/_ping'));
    assert.deepEqual(['a', 'b', 'c'].map(askedOf), [21, 1, 1]);

    others = legacy;
    nowMs += 29_999;
    assert.equal(builderOf((await ping(call('/_ping'))).headers), '2');
    assert.deepEqual(['b', 'c'].map(askedOf), [1, 1]);
    nowMs += 1;
    await ping(call('/_ping'));
    await eventually(async () => builderOf((await ping(call('/_ping'))).headers) === '1');
    assert.deepEqual(['b', 'c'].map(askedOf), [2, 2]);

    // One restarted: it alone is asked again.
    const { view } = call('/_ping');
    const [self, b, c] = view.members;
    assert.ok(self !== undefined && b !== undefined && c !== undefined);
    const restarted = { ...b, record: { ...b.record, generation: b.record.generation + 1 } };
    await ping(call('/_ping', { view: { ...view, members: [self, restarted, c] } }));
    assert.deepEqual(['b', 'c'].map(askedOf), [3, 2]);
  });

  it('answers at once while another member hangs, and does not ask it twice', async () => {
    const { ask, call, asked } = createAnsweringCluster({
      nodes,
      answer: (node) => (node === 'b' ? new Promise<FetchedPart>(() => undefined) : pinged(buildKit)),
    });
    const ping = createPing({ ask, now: () => answeringNowMs });
    for (let i = 0; i < 5; i += 1) assert.equal((await ping(call('/_ping'))).status, 200);
    assert.equal(asked.filter(({ node }) => node === 'b').length, 1);
  });

  it('counts a member that cannot be asked for nothing', async () => {
    const { ask, call, asked } = createAnsweringCluster({
      nodes,
      answer: (node) => {
        if (node !== 'a') throw new AgentError('timeout', 'no answer');
        return pinged(buildKit);
      },
    });
    const ping = createPing({ ask, now: () => answeringNowMs });
    for (let i = 0; i < 5; i += 1) assert.equal(builderOf((await ping(call('/_ping'))).headers), '2');
    assert.equal(asked.filter(({ node }) => node !== 'a').length, 2);
  });

  it('asks with the method of the client, and is 503 without an engine', async () => {
    const { ask, call, asked } = createAnsweringCluster({
      nodes: [{ nodeName: 'a' }],
      answer: () => {
        throw new AgentError('engine-unreachable', 'no engine');
      },
    });
    const answer = await createPing({ ask, now: () => answeringNowMs })(call('/_ping', { method: 'HEAD' }));
    assert.equal(answer.status, 503);
    assert.deepEqual(
      asked.map(({ method, path }) => `${method} ${path}`),
      ['HEAD /_ping'],
    );
  });
});
