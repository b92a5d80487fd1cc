// Two plain hosts without a Swarm, joined by static seeds: one cluster, with the key of Portainer shared by all of its
// agents where they have a secret in common, and verified by each for itself where they have none.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure, report } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import { forgetKeys, listKeys } from '../support/flotilla-keys.ts';
import { callAgent } from '../support/lab/agent-client.ts';
import type { LabNode } from '../support/lab/node.ts';
import { createListClient } from '../support/list-client.ts';
import { createSigner, type Signer } from '../support/signer.ts';

const testTimeoutMs = 120_000;
const wholeWithinMs = 30_000;
const spreadWithinMs = 15_000;

describe('two plain hosts in the lab', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let one: LabNode;
  let two: LabNode;

  before(async () => {
    agents = await createAgentLab({ nodes: 2, swarm: false, env: patient });
    [one, two] = [agents.node(1), agents.node(2)];
    for (const node of agents.nodes) {
      await node.docker(['create', '--network', 'none', 'busybox:lab', 'true']);
    }
    agents.startAll();
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  it('form one cluster by static seeds, and give the same list', async () => {
    report(`one cluster after ${(await agents.formed(wholeWithinMs)).toFixed(0)} ms`);
    const lists: (readonly string[])[] = [];
    for (const node of agents.nodes) {
      await using client = createListClient(node, agents.signer);
      const { nodes, containers } = await client.list();
      assert.equal(nodes, 'asked=2, answered=2, missing=0');
      lists.push(containers.map(({ id, nodeName }) => `${nodeName} ${id}`).toSorted());
    }
    assert.equal(lists[0]?.length, 2);
    assert.deepEqual(lists[0], lists[1]);
  });

  it('belong to the Portainer that signed to one of them', async () => {
    await agents.whole(wholeWithinMs);
    assert.deepEqual(await forgetKeys(one), ['node-1 forgotten', 'node-2 forgotten']);
    const [mine, foreign] = [createSigner(), createSigner()];
    assert.equal(await pingStatus(one, mine), 200);
    await keysBecome(two, [mine]);
    assert.equal(await pingStatus(two, foreign), 403);
    assert.equal(await pingStatus(two, mine), 200);

    assert.deepEqual(await forgetKeys(two), ['node-1 forgotten', 'node-2 forgotten']);
    assert.deepEqual(await listKeys(one), []);
    assert.equal(await pingStatus(two, foreign), 200);
    await keysBecome(one, [foreign]);
    assert.equal(await pingStatus(one, mine), 403);
  });

  it('settle it the same way when two Portainers sign at the same time', async () => {
    await forgetKeys(one);
    const signers = [createSigner(), createSigner()] as const;
    await Promise.all([pingStatus(one, signers[0]), pingStatus(two, signers[1])]);
    const settled = async (): Promise<string> => {
      const [here, there] = [await listKeys(one), await listKeys(two)];
      assert.equal(here.length, 1);
      assert.deepEqual(here, there);
      return here.join();
    };
    const winner = await eventually(settled, { withinMs: spreadWithinMs });
    assert.ok(signers.some(({ publicKeyHex }) => publicKeyHex === winner));
  });

  it('forget a key also where the agent was away meanwhile', async () => {
    const [before, next] = [createSigner(), createSigner()];
    await forgetKeys(one);
    assert.equal(await pingStatus(one, before), 200);
    await keysBecome(two, [before]);
    await agents.agent(two).kill();
    await forgetKeys(one);
    agents.start(two);
    await keysBecome(two, [], wholeWithinMs);
    assert.deepEqual(await listKeys(one), []);
    assert.equal(await pingStatus(two, next), 200);
    await keysBecome(one, [next], wholeWithinMs);
  });

  it('verify each for itself what the other passes on, where they share no secret', async () => {
    await agents.killAll();
    agents.startAll({ FLOTILLA_CLUSTER_SECRET: '' });
    for (const node of agents.nodes) await eventually(() => listKeys(node), { withinMs: wholeWithinMs });
    for (const node of agents.nodes) assert.deepEqual(await forgetKeys(node), [`${node.name} forgotten`]);
    await agents.whole(wholeWithinMs);
    const target = { 'X-PortainerAgent-Target': two.name };
    const throughOne = async (signer: Signer): Promise<number> => {
      const call = { address: one.address, path: '/version', signer, headers: target };
      return (await callAgent(call)).status;
    };
    assert.equal(await throughOne(agents.signer), 200);
    await using client = createListClient(one, agents.signer);
    assert.equal((await client.list()).nodes, 'asked=2, answered=2, missing=0');

    // The other host belongs to somebody else now: what this Portainer may do on one is worth nothing on two.
    await forgetKeys(two);
    assert.equal(await pingStatus(two, createSigner()), 200);
    assert.equal(await throughOne(agents.signer), 403);
    const list = await client.list();
    assert.equal(list.nodes, 'asked=2, answered=1, missing=1');
    assert.equal(list.missing[0]?.node, two.name);
    report(`missing as ${list.missing[0]?.reason}`);
  });
});

async function keysBecome(
  node: LabNode,
  signers: readonly Signer[],
  withinMs = spreadWithinMs,
): Promise<void> {
  const expected = signers.map(({ publicKeyHex }) => publicKeyHex);
  await eventually(async () => assert.deepEqual(await listKeys(node), expected, node.name), { withinMs });
}

/** Of a request that needs a signature and goes no further than that agent. */
async function pingStatus(node: LabNode, signer: Signer): Promise<number> {
  return (await callAgent({ address: node.address, path: '/_ping', signer })).status;
}
