// Merged lists on three real engines under load: right in every single answer while containers come and go on all nodes.
// The agent that this one replaces returned a corrupt list once in some 1,500.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, printLogsOnFailure, report } from '../support/agent-lab.ts';
import { type Churn, faultOf, startChurn } from '../support/churn.ts';
import { createListClient, type ListAnswer, quantile, tookMs } from '../support/list-client.ts';
import { scaled } from '../support/scale.ts';

const testTimeoutMs = scaled(90_000, 600_000);
const wholeWithinMs = 30_000;
const listCount = scaled(3_000, 20_000);
const listsAtOnce = 64;

describe('merged lists in the lab', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true });
    agents.startAll();
    await agents.whole(wholeWithinMs);
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  it(`holds every container exactly once in ${listCount} lists at ${listsAtOnce} while they come and go`, async () => {
    const churns = await Promise.all(
      agents.nodes.map((node) => startChurn(node, { lasting: 10, passing: 5, pauseMs: 30 })),
    );
    try {
      const faults: string[] = [];
      const tooks: number[] = [];
      await using client = createListClient(agents.node(1), agents.signer, listsAtOnce);
      let left = listCount;
      const startedMs = performance.now();
      const ask = async (): Promise<void> => {
        while (left-- > 0) {
          const answer = await client.list();
          tooks.push(tookMs(answer));
          const fault = faultIn(answer, churns);
          if (fault !== undefined) faults.push(fault);
        }
      };
      await Promise.all(Array.from({ length: listsAtOnce }, ask));
      const seconds = (performance.now() - startedMs) / 1_000;
      for (const churn of churns) await churn.stop();
      const passed = churns.flatMap(({ existences }) => existences).filter(({ goneMs }) => goneMs < Infinity);
      report(
        `${tooks.length} lists in ${seconds.toFixed(1)} s, p50 ${quantile(tooks, 0.5).toFixed(0)} ms, ` +
          `p99 ${quantile(tooks, 0.99).toFixed(0)} ms; ${passed.length} containers went meanwhile`,
      );
      assert.deepEqual(faults.slice(0, 5), []);
      assert.equal(tooks.length, listCount);
      assert.ok(passed.length > 30, `only ${passed.length} containers went`);
    } finally {
      for (const churn of churns) await churn[Symbol.asyncDispose]();
    }
  });
});

function faultIn(answer: ListAnswer, churns: readonly Churn[]): string | undefined {
  if (answer.missing.length > 0) return `missing: ${JSON.stringify(answer.missing)}`;
  if (answer.nodes !== 'asked=3, answered=3, missing=0') return answer.nodes;
  return faultOf(
    answer.containers,
    answer,
    churns.flatMap(({ existences }) => existences),
  );
}
