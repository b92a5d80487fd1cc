// The cluster socket beside the engine's own. On one member a client sees the same bytes for every route that asks and for
// whatever an engine refuses; on three the lists have one label more, and nothing else.

import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { clusterSocketOf } from '../support/compose-project.ts';
import { ask, type Question } from '../support/differential.ts';
import {
  askingRoutes,
  type Fixture,
  oddQuestions,
  questionsOf,
  refusedRoutes,
} from '../support/differential-questions.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { requestRaw } from '../support/raw-http.ts';

const testTimeoutMs = 120_000;
const wholeWithinMs = 30_000;
const taskWithinMs = 40_000;
const label = 'flotilla.node';

describe('the cluster socket of one member', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let node: LabNode;
  let fixture: Fixture;

  before(async () => {
    agents = await createAgentLab({ nodes: 1, swarm: true, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    node = agents.node(1);
    await eventually(() => access(clusterSocketOf(node)), { withinMs: wholeWithinMs });
    fixture = await layFixture(node);
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  /** Returns the status. */
  const assertSame = async (question: Question): Promise<number> => {
    const [expected, seen] = [
      await ask(node.engineSocket, question),
      await ask(clusterSocketOf(node), question),
    ];
    assert.deepEqual(seen, expected, `${question.method} ${question.path}`);
    return seen.status;
  };

  for (const route of askingRoutes) {
    it(`answers ${route} as the engine does`, async () => {
      const statuses: number[] = [];
      for (const question of questionsOf(route, fixture)) statuses.push(await assertSame(question));
      assert.ok(statuses.length > 0, 'nothing is asked');
      assert.equal(
        statuses.some((status) => status < 400),
        !refusedRoutes.has(route),
        statuses.join(),
      );
    });
  }

  for (const question of oddQuestions) {
    it(`answers ${question.method} ${question.path.slice(0, 40)} as the engine does`, async () => {
      await assertSame(question);
    });
  }
});

describe('the cluster socket of three members', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    await eventually(() => access(clusterSocketOf(agents.node(2))), { withinMs: wholeWithinMs });
    for (const node of agents.nodes) {
      await node.docker(['volume', 'create', 'plain']);
      await node.docker(['volume', 'create', '--label', 'a=b', 'labelled']);
      await node.docker(['network', 'create', 'net']);
      const run = ['run', '-d', '--label', 'a=b', '--volume', 'plain:/data', busyboxImage];
      await node.docker([...run, 'sleep', '100000']);
    }
    await agents.node(1).docker(['network', 'create', '--driver', 'overlay', 'shared']);
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  for (const [path, member] of [
    ['/containers/json?all=1', undefined],
    ['/v1.41/images/json', undefined],
    ['/v1.24/containers/json', undefined],
    ['/networks', undefined],
    ['/volumes', 'Volumes'],
  ] as const) {
    it(`adds the node's label to the items of ${path}, and nothing else`, async () => {
      const expected = (await Promise.all(agents.nodes.map((node) => expectedOf(node, path, member)))).flat();
      const seen = await itemsOf(clusterSocketOf(agents.node(2)), path, member);
      assert.ok(seen.length >= agents.nodes.length);
      assert.deepEqual(seen.map(textOf).toSorted(), expected.map(textOf).toSorted());
    });
  }
});

type Item = Readonly<Record<string, unknown>>;

async function itemsOf(
  socketPath: string,
  path: string,
  member: string | undefined,
): Promise<readonly Item[]> {
  const { status, body } = await requestRaw({ kind: 'unix', path: socketPath }, { path });
  assert.equal(status, 200, body.toString());
  const parsed = JSON.parse(body.toString());
  return member === undefined ? parsed : parsed[member];
}

/** What the whole Swarm has belongs to no node, and is as the first one has it, who leads. */
async function expectedOf(node: LabNode, path: string, member: string | undefined): Promise<readonly Item[]> {
  const items = await itemsOf(node.engineSocket, path, member);
  return items.flatMap((item) => {
    if (item.Scope === 'swarm') return node.name === 'node-1' ? [item] : [];
    // An object, or null where there are none.
    return [{ ...item, Labels: { ...(item.Labels as object | null), [label]: node.name } }];
  });
}

/** A second may pass between two lists. */
function textOf(item: Item): string {
  return JSON.stringify(item).replace(/"Status":"Up [^"]*"/u, '"Status":"Up"');
}

/** On a manager, which has one of everything. */
async function layFixture(node: LabNode): Promise<Fixture> {
  const docker = async (...args: readonly string[]): Promise<string> =>
    (await node.docker(args)).trim().split('\n').at(-1) ?? '';
  const run = ['run', '--name'];
  const script = 'echo content > /data/file; echo out; echo err >&2; exec sleep 100000';
  await docker('volume', 'create', 'data');
  await docker('network', 'create', 'net');
  await docker(
    ...run,
    'box',
    '--detach',
    '--volume',
    'data:/data',
    '--network',
    'net',
    busyboxImage,
    'sh',
    '-c',
    script,
  );
  await node.docker(
    [
      ...run,
      'done',
      '--label',
      'a=b',
      busyboxImage,
      'sh',
      '-c',
      'mkdir -p /data; echo x >/data/file; echo said; exit 3',
    ],
    { allowFailure: true },
  );
  await docker('swarm', 'update', '--autolock=false');
  const command = [busyboxImage, 'sh', '-c', 'echo task; exec sleep 100000'];
  const service = await docker(
    'service',
    'create',
    '--detach',
    '--no-resolve-image',
    '--name',
    'service',
    ...command,
  );
  const task = await eventually(
    async () => {
      const [id = '', state] = (
        await docker('service', 'ps', '--no-trunc', '--format', '{{.ID}} {{.CurrentState}}', 'service')
      ).split(' ');
      assert.equal(state, 'Running');
      return id;
    },
    { withinMs: taskWithinMs },
  );
  const create = { Cmd: ['true'], AttachStdout: true };
  const { body } = await requestRaw(
    { kind: 'unix', path: node.engineSocket },
    {
      method: 'POST',
      path: '/containers/box/exec',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(create),
    },
  );
  return {
    box: 'box',
    done: await docker('inspect', '--format', '{{.Id}}', 'done'),
    exec: JSON.parse(body.toString()).Id,
    image: busyboxImage,
    volume: 'data',
    network: 'net',
    node: await docker('node', 'inspect', '--format', '{{.ID}}', 'self'),
    service,
    task,
    secret: await secretOf(node, 'secret'),
    config: await secretOf(node, 'config'),
    untilSeconds: Math.floor(Date.now() / 1_000),
  };
}

async function secretOf(node: LabNode, what: 'secret' | 'config'): Promise<string> {
  return (await node.docker([what, 'create', what, '-'], { input: 'content' })).trim();
}
