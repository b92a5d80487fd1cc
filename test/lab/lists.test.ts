// Merged lists on three real engines under load: right in every single answer while containers come and go on all nodes.
// The agent that this one replaces returned a corrupt list once in some 1,500.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure, report } from '../support/agent-lab.ts';
import { type Churn, faultOf, startChurn } from '../support/churn.ts';
import { createListClient, type ListAnswer, quantile, tookMs } from '../support/list-client.ts';
import { scaled } from '../support/scale.ts';

const testTimeoutMs = scaled(90_000, 600_000);
const wholeWithinMs = 30_000;
const listCount = scaled(3_000, 20_000);
const listsAtOnce = 64;
const minGone = scaled(60, 400);
const goneWithinMs = scaled(45_000, 300_000);

describe('merged lists in the lab', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true, env: patient });
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
      let asked = 0;
      const startedMs = performance.now();
      const churnUntilMs = startedMs + goneWithinMs;
      const ask = async (): Promise<void> => {
        // A quick machine is through with the lists before anything has changed: then they go on.
        while (asked < listCount || (goneOf(churns) < minGone && performance.now() < churnUntilMs)) {
          asked += 1;
          const answer = await client.list();
          tooks.push(tookMs(answer));
          const fault = faultIn(answer, churns);
          if (fault !== undefined) faults.push(fault);
        }
      };
      await Promise.all(Array.from({ length: listsAtOnce }, ask));
      const seconds = (performance.now() - startedMs) / 1_000;
      for (const churn of churns) await churn.stop();
      report(
        `${tooks.length} lists in ${seconds.toFixed(1)} s, p50 ${quantile(tooks, 0.5).toFixed(0)} ms, ` +
          `p99 ${quantile(tooks, 0.99).toFixed(0)} ms; ${goneOf(churns)} containers went meanwhile`,
      );
      assert.deepEqual(faults.slice(0, 5), []);
      assert.ok(tooks.length >= listCount, `only ${tooks.length} lists`);
      assert.ok(goneOf(churns) >= minGone, 'too few containers went');
    } finally {
      for (const churn of churns) await churn[Symbol.asyncDispose]();
    }
  });
});

describe('the check of a list', () => {
  const there = { id: 'a', nodeName: 'n', askedMs: 10, madeMs: 20, removingMs: 30, goneMs: 40 };
  const listed = [{ id: 'a', nodeName: 'n' }];
  const cases: readonly (readonly [string, typeof listed, number, number, RegExp | undefined])[] = [
    ['holds what existed throughout', listed, 21, 29, undefined],
    ['misses what existed throughout', [], 21, 29, /not listed/],
    ['misses what was being made', [], 15, 29, undefined],
    ['misses what was being removed', [], 21, 35, undefined],
    ['holds what was being removed', listed, 35, 45, undefined],
    ['holds what was gone', listed, 41, 45, /after it was removed/],
    ['holds what was not yet asked for', listed, 1, 9, /before it was made/],
    ['holds it on another node', [{ id: 'a', nodeName: 'm' }], 21, 29, /listed on m/],
    ['holds it twice', [...listed, ...listed], 21, 29, /twice/],
  ];
  for (const [name, items, startedMs, endedMs, expected] of cases) {
    it(`${expected === undefined ? 'passes' : 'faults'} one that ${name}`, () => {
      const fault = faultOf(items, { startedMs, endedMs }, [there]);
      if (expected === undefined) assert.equal(fault, undefined);
      else assert.match(fault ?? '', expected);
    });
  }
});

/** How many containers have come and gone. */
function goneOf(churns: readonly Churn[]): number {
  return churns.reduce((sum, churn) => sum + churn.gone(), 0);
}

function faultIn(answer: ListAnswer, churns: readonly Churn[]): string | undefined {
  if (answer.missing.length > 0) return `missing: ${JSON.stringify(answer.missing)}`;
  if (answer.nodes !== 'asked=3, answered=3, missing=0') return answer.nodes;
  return faultOf(
    answer.containers,
    answer,
    churns.flatMap(({ existences }) => existences),
  );
}
