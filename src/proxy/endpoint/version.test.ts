// `docker version` over the cluster: the range that all share, and what each node runs.

import assert from 'node:assert/strict';
import { answeringNowMs, createAnsweringCluster } from '../../../test/support/answering-cluster.ts';
import { recordedAnswer } from '../../../test/support/engine-answers.ts';
import { AgentError } from '../../errors.ts';
import { createVersion } from './version.ts';

const now = (): number => answeringNowMs;
const own = recordedAnswer('node-1', 'GET /version');

describe('version of a cluster', () => {
  it('clamps the range, here and in the engine component, and names the engine of each node', async () => {
    const { ask, call, asked } = createAnsweringCluster({
      nodes: [
        { nodeName: 'node-1', agentVersion: '3.2.1' },
        { nodeName: 'node-2', engineVersion: '29.0.0', minApiVersion: '1.24', apiVersion: '1.52' },
      ],
      missing: [{ nodeName: 'node-3', engineId: 'e3', reason: 'dead', sinceMs: 0 }],
      answer: () => own,
    });
    const { status, body } = await createVersion({ ask, now })(call('/version'));
    assert.equal(status, 200);
    assert.deepEqual(
      asked.map(({ node }) => node),
      ['node-1'],
    );
    const engine = JSON.parse(String(own.body));
    const [first, ...others] = engine.Components;
    assert.deepEqual(JSON.parse(String(body)), {
      ...engine,
      ApiVersion: '1.41',
      MinAPIVersion: '1.24',
      Components: [
        { ...first, Details: { ...first.Details, ApiVersion: '1.41', MinAPIVersion: '1.24' } },
        ...others,
        {
          Name: 'Flotilla',
          Version: '3.2.1',
          Details: {
            'node-1': '20.10.24 (API 1.12 to 1.41)',
            'node-2': '29.0.0 (API 1.24 to 1.52)',
            'node-3': '(dead)',
          },
        },
      ],
    });
  });

  it("is the manager's range where the members share none", async () => {
    const { ask, call } = createAnsweringCluster({
      nodes: [
        { nodeName: 'node-1' },
        { nodeName: 'node-2', minApiVersion: '1.44', apiVersion: '1.52', role: 'manager' },
      ],
      answer: () => own,
    });
    const { ApiVersion: max, MinAPIVersion: min } = JSON.parse(
      String((await createVersion({ ask, now })(call('/version'))).body),
    );
    assert.deepEqual([min, max], ['1.44', '1.52']);
  });

  it('tells nodes of the same name apart', async () => {
    const { ask, call } = createAnsweringCluster({
      nodes: [{ nodeName: 'twin' }, { nodeName: 'twin', engineId: 'other' }],
      answer: () => own,
    });
    const { Components: components } = JSON.parse(
      String((await createVersion({ ask, now })(call('/version'))).body),
    );
    assert.deepEqual(Object.keys(components.at(-1).Details), ['twin (engine-twin)', 'twin (other)']);
  });

  it('is 503 while this engine is gone', async () => {
    const { ask, call } = createAnsweringCluster({
      nodes: [{ nodeName: 'node-1' }, { nodeName: 'node-2' }],
      answer: () => {
        throw new AgentError('engine-unreachable', 'no engine');
      },
    });
    assert.equal((await createVersion({ ask, now })(call('/version'))).status, 503);
  });
});
