// A network as the cluster knows it, made of what two real engines said of it.

import assert from 'node:assert/strict';
import {
  type AnswerOf,
  answeringNowMs,
  createAnsweringCluster,
  partOf,
} from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { AgentError } from '../../errors.ts';
import type { FoundOwner } from '../owner/rank.ts';
import type { FetchedPart } from '../proxy.ts';
import type { EndpointCall } from './call.ts';
import { createNetworkInspect } from './network-inspect.ts';

const now = (): number => answeringNowMs;
const nodes = [{ nodeName: 'node-2' }, { nodeName: 'node-1', role: 'manager' as const, leader: true }];
const noSuch = partOf({ message: 'network x not found' }, 404);

describe('network inspect of a cluster', () => {
  const recordOf = (node: string, network: string): FetchedPart =>
    recordedAnswer(node === 'node-1' ? 'node-1' : 'node-2', `GET /networks/${network}`);
  const foundOn = (call: EndpointCall, node: string, inspect: FetchedPart): FoundOwner => {
    const member = call.view.members.find(({ record }) => record.nodeName === node);
    assert.ok(member !== undefined);
    const id = String(JSON.parse(String(inspect.body)).Id);
    const holder = { member, id, name: 'x' };
    return {
      kind: 'found',
      ...holder,
      by: 'name',
      inspect,
      holders: [holder],
      conflict: false,
      asked: 2,
      unasked: [],
    };
  };
  const inspect = async (network: string, answer: AnswerOf, query = '', more: Partial<EndpointCall> = {}) => {
    const { ask, call, asked } = createAnsweringCluster({ nodes, answer });
    const made = call(`/v1.41/networks/${network}${query}`, more);
    const found = foundOn(made, 'node-1', recordOf('node-1', network));
    return { answer: await createNetworkInspect({ ask, now })(made, found), asked, id: found.id };
  };

  it("is the manager's record with the endpoints and peers of all nodes", async () => {
    const { answer, asked, id } = await inspect('web', (node) => recordOf(node, 'web'));
    const manager = JSON.parse(String(recordOf('node-1', 'web').body));
    const worker = JSON.parse(String(recordOf('node-2', 'web').body));
    const { 'lb-web': balancer, ...containers } = worker.Containers;
    assert.ok(balancer !== undefined && manager.Containers['lb-web'] !== undefined);
    assert.deepEqual(JSON.parse(String(answer.body)), {
      ...manager,
      Containers: { ...manager.Containers, ...containers, 'node-2/lb-web': balancer },
    });
    assert.deepEqual(
      asked.map(({ path }) => path),
      [`/v1.41/networks/${id}`, `/v1.41/networks/${id}`],
    );
  });

  it('keeps what a verbose inspect tells of services', async () => {
    const query = '?verbose=1';
    const { answer, asked } = await inspect('web', (node) => recordOf(node, `web${query}`), query);
    assert.ok(asked.every(({ path }) => path.endsWith(query)));
    const { Services: services } = JSON.parse(String(answer.body));
    assert.deepEqual(Object.keys(services), ['app']);
    assert.equal(services.app.Tasks.length, 2);
  });

  it('unites the peers that only some know', async () => {
    const peer = (name: string): object => ({ Name: name, IP: `10.0.0.${name}` });
    const { answer } = await inspect('web', (node) =>
      partOf({
        Id: 'x',
        Containers: null,
        Peers: node === 'node-1' ? null : [peer('1'), peer('2'), peer('1')],
      }),
    );
    assert.deepEqual(JSON.parse(String(answer.body)), {
      Id: 'x',
      Containers: null,
      Peers: [peer('1'), peer('2')],
    });
  });

  it('takes a worker that does not know it for an answer, and one that is silent for a hole', async () => {
    const unknown = await inspect('web', (node) => (node === 'node-1' ? recordOf(node, 'web') : noSuch), '', {
      strict: true,
    });
    assert.equal(unknown.answer.status, 200);
    assert.ok(unknown.answer.headers.includes('asked=2, answered=2, missing=0'));
    const silent = (node: string): FetchedPart => {
      if (node === 'node-2') throw new AgentError('timeout', 'no answer');
      return recordOf(node, 'web');
    };
    const hole = await inspect('web', silent);
    assert.equal(hole.answer.status, 200);
    assert.ok(hole.answer.headers.includes('asked=2, answered=1, missing=1'));
    assert.equal((await inspect('web', silent, '', { strict: true })).answer.status, 503);
  });

  it('is 404 when it was removed in the meantime', async () => {
    const { answer } = await inspect('web', () => noSuch);
    assert.deepEqual([answer.status, String(answer.body)], [404, String(noSuch.body)]);
  });

  it("is the owner's own answer for a local network, byte for byte", async () => {
    const { answer, asked } = await inspect('bridge', (node) => recordOf(node, 'bridge'), '', {
      strict: true,
    });
    assert.deepEqual(String(answer.body), String(recordOf('node-1', 'bridge').body));
    assert.deepEqual(
      asked.map(({ node }) => node),
      ['node-1'],
    );
  });
});
