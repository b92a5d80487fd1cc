// Who belongs to the cluster, on three real engines: found by DNS that was dead, over lossy links, through partitions,
// restarts and changes of role. Whatever happened, all agents end with the same members, each listed once.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, before, describe, it } from 'mocha';

import {
  type AgentLab,
  agentsSeenBy,
  createAgentLab,
  labGossipPort,
  membersSeenBy,
  printLogsOnFailure,
  ready,
  report,
} from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import { createDns, type Dns } from '../support/lab/dns.ts';
import type { LabNode } from '../support/lab/node.ts';
import { createListClient } from '../support/list-client.ts';
import { scaled } from '../support/scale.ts';

const wholeWithinMs = 30_000;
/** After the last start, the heal of a partition, or the return of DNS. */
const convergedWithinMs = 5_000;
/** An engine does not tell of a change: it is asked every few seconds. */
const roleWithinMs = 7_000;
const lossPercent = 5;
const lossMs = scaled(15_000, 600_000);
const partitionMs = scaled(8_000, 60_000);
const dnsDeadMs = scaled(8_000, 60_000);
const testTimeoutMs = 60_000 + Math.max(lossMs, partitionMs, dnsDeadMs);
const agentsName = 'tasks.agent';

describe('membership in the lab', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let dns: Dns;

  before(async () => {
    // They find each other by DNS alone.
    agents = await createAgentLab({
      nodes: 3,
      swarm: true,
      env: { FLOTILLA_SEEDS: '', AGENT_CLUSTER_ADDR: agentsName },
    });
    dns = await createDns(agents.lab.hostAddress);
    dns.set(
      agentsName,
      agents.nodes.map(({ address }) => address),
    );
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
    await dns?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  it(`forms one cluster after DNS was dead for ${dnsDeadMs / 1_000} s`, async () => {
    dns.die();
    agents.startAll();
    await Promise.all(agents.nodes.map((node) => ready(agents.agent(node))));
    await passed(dnsDeadMs);
    for (const node of agents.nodes) {
      assert.deepEqual(await membersSeenBy(node, agents.signer), [node.name]);
    }
    dns.revive();
    report(`one cluster ${(await agents.whole(convergedWithinMs)).toFixed(0)} ms after DNS was back`);
    await assertNoGhosts();
  });

  it('forms one cluster of agents started all at once', async () => {
    await agents.killAll();
    agents.startAll();
    report(`one cluster after ${(await agents.formed(convergedWithinMs)).toFixed(0)} ms`);
    await assertNoGhosts();
  });

  it('forms one cluster of agents started one by one', async () => {
    await agents.killAll();
    const started: LabNode[] = [];
    for (const node of agents.nodes) {
      agents.start(node);
      started.push(node);
      report(`${started.length} after ${(await agents.formed(convergedWithinMs, started)).toFixed(0)} ms`);
    }
    await assertNoGhosts();
  });

  for (const [signal, end] of [
    ['SIGTERM', 'stop'],
    ['SIGKILL', 'kill'],
  ] as const) {
    it(`stays one cluster in a rolling restart by ${signal}`, async () => {
      await agents.whole(wholeWithinMs);
      const tooks: string[] = [];
      for (const node of agents.nodes) {
        await agents.agent(node)[end]();
        agents.start(node);
        tooks.push((await agents.formed(convergedWithinMs)).toFixed(0));
        await assertNoGhosts();
      }
      report(`one cluster ${tooks.join(', ')} ms after each start`);
    });
  }

  it('lists an agent once that was killed and comes back at another place', async () => {
    await agents.whole(wholeWithinMs);
    const moved = agents.node(3);
    const elsewhere = {
      FLOTILLA_GOSSIP_PORT: '7950',
      FLOTILLA_PEER_PORT: '9012',
      FLOTILLA_SEEDS: `${agents.node(1).address}:${labGossipPort}`,
    };
    const tooks: string[] = [];
    for (const env of [elsewhere, {}]) {
      await agents.agent(moved).kill();
      agents.start(moved, env);
      tooks.push((await agents.formed(convergedWithinMs)).toFixed(0));
      await assertNoGhosts();
    }
    report(`one cluster ${tooks.join(' and ')} ms after it moved there and back`);
  });

  it('converges to one view after a partition', async () => {
    await agents.whole(wholeWithinMs);
    const apart = agents.node(3);
    const logBefore = agents.agent(apart).log().length;
    await apart.cutOff();
    try {
      // It cannot be asked while it is cut off; its log says that it saw itself alone.
      const isAlone = (): boolean =>
        /joined: node-3; missing: node-1, node-2/.test(agents.agent(apart).log().slice(logBefore));
      await Promise.all([
        eventually(isAlone, { withinMs: 10_000 }),
        agents.whole(10_000, [agents.node(1), agents.node(2)]),
        passed(partitionMs),
      ]);
    } finally {
      await apart.reconnect();
    }
    report(`one view ${(await agents.whole(convergedWithinMs)).toFixed(0)} ms after the heal`);
    await assertNoGhosts();
  });

  it('shows a promotion and a demotion on every node', async () => {
    await agents.whole(wholeWithinMs);
    const node = agents.node(2);
    for (const [role, change] of [
      ['manager', () => agents.lab.promote(node)],
      ['worker', () => agents.lab.demote(node)],
    ] as const) {
      await change();
      const changedMs = performance.now();
      const isShown = async (): Promise<void> => {
        for (const asked of agents.nodes) {
          const shown = (await agentsSeenBy(asked, agents.signer)).find(
            ({ NodeName }) => NodeName === node.name,
          );
          assert.equal(shown?.NodeRole, role, `as ${asked.name} sees it`);
        }
      };
      await eventually(isShown, { withinMs: roleWithinMs });
      report(`${role} everywhere after ${(performance.now() - changedMs).toFixed(0)} ms`);
    }
  });

  it(`declares nobody dead in ${lossMs / 1_000} s of ${lossPercent} % loss on every link and busy cores`, async () => {
    await agents.whole(wholeWithinMs);
    const logsBefore = agents.nodes.map((node) => agents.agent(node).log().length);
    const resentBefore = resentSegments();
    const burners = Array.from({ length: availableParallelism() }, burn);
    let views = 0;
    try {
      for (const node of agents.nodes) await node.losePackets(lossPercent);
      const untilMs = performance.now() + lossMs;
      const watch = async (node: LabNode): Promise<void> => {
        while (performance.now() < untilMs) {
          // The answer itself may be lost and late: only what it says counts.
          const seen = await membersSeenBy(node, agents.signer).catch(() => undefined);
          if (seen !== undefined) {
            assert.deepEqual(seen, ['node-1', 'node-2', 'node-3'], `as ${node.name} sees it`);
            views += 1;
          }
          await passed(200);
        }
      };
      await Promise.all(agents.nodes.map(watch));
    } finally {
      for (const node of agents.nodes) await node.losePackets(0);
      for (const burner of burners) await end(burner);
    }
    const resent = resentSegments() - resentBefore;
    const logs = agents.nodes.map((node, at) => agents.agent(node).log().slice(logsBefore[at]));
    const count = (pattern: RegExp): number => logs.join('\n').match(pattern)?.length ?? 0;
    report(
      `${views} views, ${resent} segments sent again; ${count(/"member did not answer"/g)} probes failed, ` +
        `${count(/refuted a suspicion/g)} suspicions refuted, ${count(/"member is dead"/g)} deaths`,
    );
    assert.equal(count(/"member is dead"/g), 0);
    assert.ok(views > lossMs / 1_000, `only ${views} views`);
    // What was lost on the links was sent again by TCP: the loss was real.
    assert.ok(resent > lossMs / 1_000, `only ${resent} segments were sent again`);
  });

  /** By the kernels of all nodes, so far. */
  function resentSegments(): number {
    const counts = agents.nodes.map((node) => {
      const lines = readFileSync(`/proc/${agents.agent(node).pid}/net/snmp`, 'utf8').split('\n');
      const [names, values] = lines.filter((line) => line.startsWith('Tcp:')).map((line) => line.split(' '));
      return Number(values?.[names?.indexOf('RetransSegs') ?? -1]);
    });
    return counts.reduce((sum, value) => sum + value, 0);
  }

  /** Nobody is asked for a list but the three, and nobody is missing. */
  async function assertNoGhosts(): Promise<void> {
    for (const node of agents.nodes) {
      await using client = createListClient(node, agents.signer);
      const complete = async (): Promise<void> =>
        assert.equal((await client.list()).nodes, 'asked=3, answered=3, missing=0', `from ${node.name}`);
      await eventually(complete, { withinMs: convergedWithinMs });
    }
  }
});

/** Keeps one core busy. */
function burn(): ChildProcess {
  return spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** A stretch of time that the test is about. */
function passed(ms: number): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
