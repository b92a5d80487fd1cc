// Merged events of three real engines, held against what each engine tells itself: byte for byte, each event once, in the
// order of its node, while containers come and go, nodes fall silent and agents and engines start again.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, it } from 'mocha';

import {
  type AgentLab,
  createAgentLab,
  patient,
  printLogsOnFailure,
  ready,
  report,
} from '../support/agent-lab.ts';
import { askEngine } from '../support/churn.ts';
import { type EventClient, followEvents } from '../support/event-client.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { scaled } from '../support/scale.ts';

const testTimeoutMs = scaled(120_000, 1_800_000);
const wholeWithinMs = 30_000;
const lifecycles = scaled(60, 1_000);
const completeWithinMs = 20_000;
/** Two events each: an engine remembers 256. */
const unseenContainers = 50;

describe('merged events in the lab', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  const open: EventClient[] = [];

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true, managers: 2, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
  });

  afterEach(async () => {
    for (const client of open.splice(0)) client.leave();
    await agents.whole(wholeWithinMs);
  });

  after(() => agents?.[Symbol.asyncDispose]());

  printLogsOnFailure(() => agents);

  const follow = async (socketPath: string, query?: string): Promise<EventClient> => {
    const client = await followEvents(socketPath, query);
    open.push(client);
    return client;
  };
  const followCluster = (node: LabNode, query?: string): Promise<EventClient> =>
    follow(clusterSocket(node), query);
  /** What each engine tells, by node name. */
  const followEngines = async (): Promise<ReadonlyMap<string, EventClient>> =>
    new Map(
      await Promise.all(
        agents.nodes.map(async (node) => [node.name, await follow(node.engineSocket)] as const),
      ),
    );

  /** Until so many containers are gone, and the cluster has told of each node what its engine told, and nothing else. */
  const tellsTheSame = (
    cluster: EventClient,
    engines: ReadonlyMap<string, EventClient>,
    gone: number,
  ): Promise<void> =>
    eventually(
      () => {
        assert.equal(goneOf([...engines.values()]), gone);
        for (const [node, { lines }] of engines) {
          const expected = lines.filter((line) => !isOfSwarm(line));
          assert.deepEqual(linesOf(cluster, node), expected, node);
        }
      },
      { withinMs: completeWithinMs, everyMs: 200 },
    );

  it(`tells each event of ${lifecycles} containers' lives once, in the order of its node`, async () => {
    const engines = await followEngines();
    const clients = await Promise.all(agents.nodes.map((node) => followCluster(node)));
    const startedMs = performance.now();
    await Promise.all(agents.nodes.map((node, at) => live(node, Math.ceil((lifecycles - at) / 3))));
    const seconds = (performance.now() - startedMs) / 1_000;
    for (const client of clients) await tellsTheSame(client, engines, lifecycles);
    const told = [...engines.values()].flatMap(({ lines }) => lines);
    report(
      `${told.length} events of ${lifecycles} lives in ${seconds.toFixed(1)} s, to ${clients.length} clients`,
    );
  });

  it('tells a past of all nodes in the order of time, and then ends', async () => {
    const sinceS = Date.now() / 1_000;
    for (const node of agents.nodes) await comeAndGo(node, 5);
    // Behind the last event, which may be of this same millisecond.
    const untilS = (Date.now() + 1) / 1_000;
    const { response } = await follow(clusterSocket(agents.node(2)), `?since=${sinceS}&until=${untilS}`);
    const body: string[] = [];
    response.on('data', (chunk: string) => body.push(chunk));
    await text(response);
    const lines = body.join('').trimEnd().split('\n');
    assert.equal(lines.length, 3 * 5 * 2);
    const times = lines.map((line) => BigInt(/"timeNano":(\d+)/.exec(line)?.[1] ?? 0));
    assert.deepEqual(times, times.toSorted(compare));
    assert.equal(response.trailers['flotilla-nodes'], 'asked=3, answered=3, missing=0');
  });

  it('loses and repeats nothing of a node that falls silent and is back', async () => {
    const engines = await followEngines();
    const client = await followCluster(agents.node(1));
    const lost = agents.node(3);
    await comeAndGo(lost, 5);
    await lost.cutOff();
    await comeAndGo(lost, unseenContainers);
    await agents.whole(wholeWithinMs, [agents.node(1), agents.node(2)]);
    await comeAndGo(agents.node(2), 5);
    await lost.reconnect();
    await agents.whole(wholeWithinMs);
    await comeAndGo(lost, 5);
    await tellsTheSame(client, engines, unseenContainers + 15);
  });

  it('loses and repeats nothing of a node whose agent is killed and starts again', async () => {
    const engines = await followEngines();
    const client = await followCluster(agents.node(1));
    const node = agents.node(3);
    await comeAndGo(node, 5);
    await agents.agent(node).kill();
    await comeAndGo(node, unseenContainers);
    await ready(agents.start(node));
    await agents.whole(wholeWithinMs);
    await tellsTheSame(client, engines, unseenContainers + 5);
  });

  for (const which of [1, 3]) {
    it(`goes on after an engine has started again: ${which === 1 ? "the socket's own" : 'of another node'}`, async () => {
      const node = agents.node(which);
      const client = await followCluster(agents.node(1), eventsOfContainers);
      await comeAndGo(node, 3);
      await eventually(() => linesOf(client, node.name).length === 6, { withinMs: completeWithinMs });
      await node.restartEngine();
      const remembered = await follow(node.engineSocket, `${eventsOfContainers}&since=1`);
      await comeAndGo(node, 3);
      await eventually(() => remembered.lines.length >= 6, { withinMs: completeWithinMs });
      await eventually(() => assert.deepEqual(linesOf(client, node.name).slice(6), remembered.lines), {
        withinMs: completeWithinMs,
      });
    });
  }

  it('tells what happens to the Swarm once, also while a manager is away', async () => {
    const [first, second] = [agents.node(1), agents.node(2)];
    const engine = await follow(first.engineSocket, eventsOfServices);
    // Its own engine is that of a worker.
    const client = await followCluster(agents.node(3), eventsOfServices);
    const serve = async (name: string): Promise<void> => {
      await first.docker([
        'service',
        'create',
        '-d',
        '--name',
        name,
        '--replicas',
        '0',
        busyboxImage,
        'true',
      ]);
      await first.docker(['service', 'update', '-d', '--env-add', 'A=1', name]);
      await first.docker(['service', 'rm', name]);
    };
    const tellsOnce = (events: number): Promise<void> =>
      eventually(
        () => {
          assert.equal(engine.lines.length, events);
          // Managers take the time of a removal from their own clocks.
          assert.deepEqual(client.lines.map(withoutTime), engine.lines.map(withoutTime));
        },
        { withinMs: completeWithinMs },
      );
    await serve('one');
    await tellsOnce(3);
    await agents.agent(second).kill();
    await serve('two');
    await tellsOnce(6);
    await ready(agents.start(second));
    await agents.whole(wholeWithinMs);
    await agents.agent(first).kill();
    await serve('three');
    await tellsOnce(9);
    await ready(agents.start(first));
    await agents.whole(wholeWithinMs);
    await serve('four');
    await tellsOnce(12);
  });
});

const filtersOf = (type: string): string =>
  `?filters=${encodeURIComponent(JSON.stringify({ type: [type] }))}`;
const eventsOfContainers = filtersOf('container');
const eventsOfServices = filtersOf('service');

function clusterSocket(node: LabNode): string {
  return join(node.runDir, 'flotilla/docker.sock');
}

/** As its engine told them. */
function linesOf({ lines }: EventClient, node: string): readonly string[] {
  const name = `"flotilla.node":"${node}"`;
  return lines
    .filter((line) => line.includes(name))
    .map((line) => line.replace(`,${name}`, '').replace(name, ''));
}

/** Containers of whose end is told. */
function goneOf(clients: readonly EventClient[]): number {
  return clients.flatMap(({ lines }) => lines).filter((line) => line.includes('"Action":"destroy"')).length;
}

function isOfSwarm(line: string): boolean {
  return line.includes('"scope":"swarm"');
}

function withoutTime(line: string): string {
  return line.replace(/"time":\d+,"timeNano":\d+/, '');
}

function compare(one: bigint, other: bigint): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/**
 * Containers that are made, run to their end and are removed, one after the other: of two events at the same moment an
 * engine tells its readers in different orders, so that only what follows another can be compared.
 */
async function live(node: LabNode, count: number): Promise<void> {
  for (let lived = 0; lived < count; lived += 1) {
    const id = await create(node);
    await askEngine(node, 'POST', `/containers/${id}/start`);
    await askEngine(node, 'POST', `/containers/${id}/wait`);
    await askEngine(node, 'DELETE', `/containers/${id}`);
  }
}

/** Containers that are made and removed: two events each. */
async function comeAndGo(node: LabNode, count: number): Promise<void> {
  for (let made = 0; made < count; made += 1) {
    await askEngine(node, 'DELETE', `/containers/${await create(node)}`);
  }
}

async function create(node: LabNode): Promise<string> {
  const body = { Image: busyboxImage, Cmd: ['true'], NetworkDisabled: true };
  const created = await askEngine(node, 'POST', '/containers/create', body);
  return String((created as { readonly Id: unknown }).Id);
}
