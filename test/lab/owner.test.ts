// Lookups on the cluster socket of three real nodes while containers come, go and change names on all of them: never an
// answer about another container than the one that was meant, never one about what is over, never a guess.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { Pool } from 'undici';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure, report } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import type { LabNode } from '../support/lab/node.ts';
import { quantile, tookMs } from '../support/list-client.ts';
import {
  type LookupAnswer,
  lookupFault,
  type NameChurn,
  type Past,
  pick,
  type Question,
  startNameChurn,
} from '../support/name-churn.ts';
import { scaled } from '../support/scale.ts';

const testTimeoutMs = scaled(90_000, 600_000);
const wholeWithinMs = 30_000;
const answerWithinMs = 30_000;
const lookupCount = scaled(2_000, 10_000);
const lookupsAtOnce = 12;
const minChanges = scaled(150, 1_000);
const changedWithinMs = scaled(45_000, 300_000);
/** Fewer than containers, so that many are on several nodes and many move. */
const names = Array.from({ length: 12 }, (_, index) => `web-${index}`);

describe('owner lookups in the lab', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: false, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  it(`finds who was meant in ${lookupCount} lookups at ${lookupsAtOnce} while everything changes`, async () => {
    const churns = agents.nodes.map((node) => startNameChurn(node, { names, most: 6, pauseMs: 20 }));
    const clients = agents.nodes.map(createSocketClient);
    try {
      for (const client of clients) await eventually(() => client.isThere(), { withinMs: wholeWithinMs });
      const answers: LookupAnswer[] = [];
      const startedMs = performance.now();
      const ask = async (): Promise<void> => {
        while (isToGoOn(answers.length, churns, startedMs)) {
          answers.push(await pick(clients).look(randomQuestion(churns)));
        }
      };
      await Promise.all(Array.from({ length: lookupsAtOnce }, ask));
      for (const churn of churns) await churn.stop();
      report(summaryOf(answers, churns, startedMs));
      const past = pastOf(churns);
      const faults = answers
        .map((answer) => lookupFault(answer, past))
        .filter((fault) => fault !== undefined);
      assert.deepEqual(faults.slice(0, 5), []);
      assert.ok(changesOf(churns) >= minChanges, 'too little changed');
      for (const status of [200, 404, 409])
        assert.ok(
          answers.filter((answer) => answer.status === status).length > lookupCount / 100,
          `${status}`,
        );
    } finally {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
      for (const churn of churns) await churn[Symbol.asyncDispose]();
    }
  });
});

describe('the check of a lookup', () => {
  const spell = { id: 'a', nodeName: 'n', askedMs: 10, madeMs: 20, endingMs: 30, endedMs: 40 };
  const past: Past = { containers: [spell], namings: [{ ...spell, name: 'web' }] };
  const other = { ...spell, id: 'b', nodeName: 'm' };
  const both: Past = {
    containers: [spell, other],
    namings: [...past.namings, { ...other, name: 'web' }],
  };
  const byName: Question = { by: 'name', text: 'web' };
  const cases: readonly (readonly [string, Past, Partial<LookupAnswer>, RegExp | undefined])[] = [
    ['finds what was there', past, {}, undefined],
    ['finds what was being made', past, { startedMs: 5, endedMs: 15 }, undefined],
    ['finds what was being removed', past, { startedMs: 35, endedMs: 45 }, undefined],
    ['finds what was over', past, { startedMs: 41, endedMs: 45 }, /does not mean a/],
    ['finds what was not yet asked for', past, { startedMs: 1, endedMs: 9 }, /does not mean a/],
    ['finds another one', past, { ids: ['c'] }, /does not mean c/],
    ['finds nothing where one was', past, { status: 404, ids: [] }, /not found/],
    ['finds nothing of what was being made', past, { status: 404, ids: [], startedMs: 15 }, undefined],
    ['says that one is two', past, { status: 409 }, /409 with 1 ids/],
    ['takes one of two', both, {}, /ambiguous/],
    ['takes the other while one was being made', both, { startedMs: 15, endedMs: 25 }, undefined],
    ['names the two', both, { status: 409, ids: ['a', 'b'] }, undefined],
    ['takes that of the node', both, { question: { by: 'node', text: 'web', nodeName: 'n' } }, undefined],
    ['takes that of another node', both, { question: { by: 'node', text: 'web', nodeName: 'm' } }, /mean a/],
    ['takes that of the id', both, { question: { by: 'id', text: 'a' } }, undefined],
    ['fails', past, { status: 503, ids: [] }, /status 503/],
  ];
  for (const [name, all, part, expected] of cases) {
    it(`${expected === undefined ? 'passes' : 'faults'} one that ${name}`, () => {
      const answer = { question: byName, startedMs: 22, endedMs: 28, status: 200, ids: ['a'], ...part };
      const fault = lookupFault(answer, all);
      if (expected === undefined) assert.equal(fault, undefined);
      else assert.match(fault ?? '', expected);
    });
  }
});

interface SocketClient extends AsyncDisposable {
  isThere(): Promise<boolean>;
  look(question: Question): Promise<LookupAnswer>;
}

/** Asks the cluster socket of a node for the inspect of a container. */
function createSocketClient(node: LabNode): SocketClient {
  const pool = new Pool('http://docker', {
    socketPath: join(node.runDir, 'flotilla/docker.sock'),
    connections: lookupsAtOnce,
    headersTimeout: answerWithinMs,
    bodyTimeout: answerWithinMs,
  });
  return {
    isThere: async () => {
      const { statusCode, body } = await pool.request({ method: 'GET', path: '/_ping' });
      await body.dump();
      return statusCode === 200;
    },
    look: async (question) => {
      const { text } = question;
      const name = question.by === 'node' ? `${question.nodeName}/${text}` : text;
      const startedMs = performance.now();
      const { statusCode, body } = await pool.request({ method: 'GET', path: `/containers/${name}/json` });
      const answer: unknown = await body.json();
      return { question, startedMs, endedMs: performance.now(), status: statusCode, ids: idsIn(answer) };
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
}

/** The id of an inspect, or those of the candidates of a 409. */
function idsIn(answer: unknown): readonly string[] {
  // What is not there fails the check of the answer.
  const { Id, candidates = [] } = answer as { Id?: string; candidates?: readonly { id: string }[] };
  return Id === undefined ? candidates.map(({ id }) => id) : [Id];
}

/** Half of them by name; the rest by what is or was there. */
function randomQuestion(churns: readonly NameChurn[]): Question {
  const kind = Math.random();
  const { containers } = pick(churns).past;
  const recent = containers.slice(-10);
  if (kind < 0.5 || recent.length === 0) return { by: 'name', text: pick(names) };
  const { id, nodeName } = pick(recent);
  if (kind < 0.7) return { by: 'node', text: pick(names), nodeName };
  return kind < 0.85 ? { by: 'id', text: id } : { by: 'prefix', text: id.slice(0, 12) };
}

/** A quick machine is through with the lookups before enough has changed: then they go on. */
function isToGoOn(asked: number, churns: readonly NameChurn[], startedMs: number): boolean {
  if (asked < lookupCount) return true;
  return changesOf(churns) < minChanges && performance.now() < startedMs + changedWithinMs;
}

function pastOf(churns: readonly NameChurn[]): Past {
  return {
    containers: churns.flatMap(({ past }) => past.containers),
    namings: churns.flatMap(({ past }) => past.namings),
  };
}

function changesOf(churns: readonly NameChurn[]): number {
  const { containers, namings } = pastOf(churns);
  return namings.length + containers.filter(({ endedMs }) => endedMs !== Number.POSITIVE_INFINITY).length;
}

function summaryOf(
  answers: readonly LookupAnswer[],
  churns: readonly NameChurn[],
  startedMs: number,
): string {
  const seconds = (performance.now() - startedMs) / 1_000;
  const count = (status: number): number => answers.filter((answer) => answer.status === status).length;
  const tooks = answers.map(tookMs);
  return (
    `${answers.length} lookups in ${seconds.toFixed(1)} s: ${count(200)} found, ${count(404)} not, ` +
    `${count(409)} ambiguous; ${changesOf(churns)} changes; p50 ${quantile(tooks, 0.5).toFixed(0)} ms, ` +
    `p99 ${quantile(tooks, 0.99).toFixed(0)} ms`
  );
}
