// Docker hosts without Swarm, told of each other by static seeds: one cluster with the same lists everywhere.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';

import { eventually } from '../support/eventually.ts';
import { getJson } from '../support/lab/agent-client.ts';
import { type LabAgent, startAgent } from '../support/lab/agents.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';
import { waitForCluster } from '../support/lab/stack.ts';
import { createSigner } from '../support/signer.ts';

const labTimeoutMs = 120_000;
const formedWithinMs = 40_000;

describe('plain hosts without Swarm', function () {
  this.timeout(labTimeoutMs);
  const signer = createSigner();
  let lab: Lab;
  let agents: readonly LabAgent[] = [];

  before(async () => {
    lab = await createLab({ nodes: 2, swarm: false });
    const seed = `${lab.node(1).address}:7947`;
    const env = { FLOTILLA_SEEDS: seed, FLOTILLA_CLUSTER_SECRET: 'a secret of this test' };
    agents = lab.nodes.map((node) => startAgent(node, { env }));
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') for (const agent of agents) process.stderr.write(agent.log());
  });

  after(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('make one cluster, of which every agent gives the same lists', async () => {
    await waitForCluster(lab.nodes, signer, formedWithinMs);
    await Promise.all(
      lab.nodes.map((node) => node.docker(['run', '-d', '--name', `on-${node.name}`, 'busybox:lab', 'top'])),
    );
    for (const { address } of lab.nodes) {
      await eventually(async () => {
        assert.deepEqual(await namesListedBy(address), ['node-1 /on-node-1', 'node-2 /on-node-2']);
      });
    }
  });

  it('leave it one by one', async () => {
    const [first, second] = agents;
    assert.ok(first && second);
    assert.equal(await second.stop(), 0);
    await waitForCluster([first.node], signer, formedWithinMs);
    assert.deepEqual(await namesListedBy(first.node.address), ['node-1 /on-node-1']);
  });

  async function namesListedBy(address: string): Promise<readonly string[]> {
    const listed = await getJson({ address, path: '/containers/json', signer });
    assert.ok(Array.isArray(listed));
    return listed.map(({ Names, Portainer }) => `${Portainer.Agent.NodeName} ${Names[0]}`).toSorted();
  }
});
