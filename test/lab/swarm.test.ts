// The agents on a real Swarm, asked as a Portainer server asks them: which engine answers what, and who is listed.
// Every answer is compared with what the engines say by themselves.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, agentsSeenBy, createAgentLab, printLogsOnFailure } from '../support/agent-lab.ts';
import { eventually } from '../support/eventually.ts';
import { type AgentAnswer, callAgent, getJson } from '../support/lab/agent-client.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { vectors } from '../support/vectors.ts';

const testTimeoutMs = 120_000;
const wholeWithinMs = 30_000;
const roleWithinMs = 15_000;
/** What the agent that is replaced takes for a member that does not answer, and a little. */
const listWithinMs = 3_300;
const engineTimeoutMs = 10_000;
const target = 'X-PortainerAgent-Target';
const managerOperation = 'X-PortainerAgent-ManagerOperation';
const listPaths = ['/containers/json?all=1', '/images/json', '/networks', '/volumes'];

type Headers = Readonly<Record<string, string>>;
/** One thing in a list, as far as the tests look at it. */
type Item = Readonly<Record<string, unknown>>;

describe('the agents on a Swarm', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let manager: LabNode;
  let worker: LabNode;
  let other: LabNode;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true });
    [manager, worker, other] = [agents.node(1), agents.node(2), agents.node(3)];
    agents.startAll();
    await agents.whole(wholeWithinMs);
    await Promise.all(agents.nodes.map(startBox));
    const sleeper = ['--name', 'sleeper', '--no-resolve-image', '--stop-signal', 'KILL'];
    await manager.docker(['service', 'create', ...sleeper, busyboxImage, 'sleep', '1000']);
    await manager.docker(['secret', 'create', 'hidden', '-'], { input: 'nobody is told' });
    await manager.docker(['config', 'create', 'shown', '-'], { input: 'all may know' });
    await other.docker(['volume', 'create', 'only-there']);
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  it('S1: a worker gives the answers of a manager where only managers know', async () => {
    for (const path of [
      '/services',
      '/nodes',
      '/tasks',
      '/secrets',
      '/configs',
      '/swarm',
      '/v1.41/services',
    ]) {
      const plain = path.replace('/v1.41', '');
      // The Swarm may change something between the two questions.
      await eventually(async () =>
        assert.deepEqual(await ask(worker, path), await askEngine(manager, plain)),
      );
    }
    assert.ok(Array.isArray(await ask(worker, '/tasks')));
    for (const headers of [{}, { [target]: other.name }]) {
      const { Name, Swarm } = (await ask(worker, '/info', headers)) as Item & { Swarm: Item };
      assert.deepEqual([Name, Swarm.ControlAvailable], [manager.name, true]);
    }
  });

  it('S2: lists hold what every engine lists, each item with its node', async () => {
    for (const path of listPaths) {
      const engines = await Promise.all(agents.nodes.map((node) => askEngine(node, path)));
      const expected = engines.flatMap((list, index) =>
        itemsOf(list).map((item) => decorated(item, agents.node(index + 1))),
      );
      for (const [node, headers] of [
        [worker, {}],
        [manager, { [target]: other.name }],
        [other, { [target]: 'nobody' }],
      ] as const) {
        // On a machine that does much else a healthy node may be late, and then is left out.
        await eventually(async () =>
          assert.deepEqual(sorted(itemsOf(await ask(node, path, headers))), sorted(expected), path),
        );
      }
    }
    assert.deepEqual(Object.keys((await ask(worker, '/volumes')) as Item), ['Volumes']);
  });

  it('S2: lists pass filters on', async () => {
    const filters = encodeURIComponent(JSON.stringify({ name: [boxOf(other)] }));
    await eventually(async () => {
      const found = itemsOf(await ask(worker, `/containers/json?filters=${filters}`));
      assert.deepEqual(
        found.map(({ Names, Portainer }) => [Names, Portainer]),
        [[[`/${boxOf(other)}`], { Agent: { NodeName: other.name } }]],
      );
    });
  });

  it('S3: a list comes in time with the rest when an agent is frozen or killed', async () => {
    const rest = [manager.name, worker.name];
    // Each time with a node that nobody misses yet; a list that the machine held up says nothing of the agents.
    const heldUp = { withinMs: 20_000 };
    await eventually(async () => {
      agents.agent(other).signal('SIGSTOP');
      try {
        assert.deepEqual(await nodesListedInTime(), rest);
      } finally {
        agents.agent(other).signal('SIGCONT');
        await agents.whole(wholeWithinMs);
      }
    }, heldUp);
    await eventually(async () => {
      await agents.agent(other).kill();
      try {
        assert.deepEqual(await nodesListedInTime(), rest);
      } finally {
        agents.start(other);
        await agents.whole(wholeWithinMs);
      }
    }, heldUp);
  });

  it('S4: a target is asked for its own answer, and the entry node as a target for its plain lists', async () => {
    const path = `/containers/${boxOf(other)}/json`;
    const there = await ask(worker, path, { [target]: other.name });
    assert.deepEqual(there, await askEngine(other, path));
    for (const listPath of listPaths) {
      const own = await ask(worker, listPath, { [target]: worker.name });
      assert.deepEqual(sorted(itemsOf(own)), sorted(itemsOf(await askEngine(worker, listPath))));
    }
  });

  it('S5: an unknown target is refused in the known words', async () => {
    for (const path of ['/version', '/containers/x/json', '/images/create?fromImage=x']) {
      assertError(await call(worker, path, { [target]: 'nobody' }), 'unknownTarget');
    }
  });

  it('S6: a manager operation gets the plain list of one manager', async () => {
    for (const path of listPaths) {
      const headers = { [managerOperation]: '1', [target]: other.name };
      assert.deepEqual(
        sorted(itemsOf(await ask(worker, path, headers))),
        sorted(itemsOf(await askEngine(manager, path))),
      );
    }
  });

  it('S7: without an agent on a manager, its requests are refused in the known words', async () => {
    await agents.agent(manager).stop();
    await agents.whole(wholeWithinMs, [worker, other]);
    for (const path of ['/info', '/services']) assertError(await call(worker, path), 'noManager');
    const operation = await call(worker, '/containers/json', { [managerOperation]: '1' });
    assertError(operation, 'noManager');
    assert.equal((await call(worker, '/containers/json')).status, 200);
    agents.start(manager);
    await agents.whole(wholeWithinMs);
    assert.equal((await call(worker, '/info')).status, 200);
  });

  it('S8: the list of agents follows who joins, leaves, and is promoted or demoted', async () => {
    const roles = [`${manager.name} manager`, `${worker.name} worker`, `${other.name} worker`];
    await allSee(roles);
    await agents.agent(other).stop();
    await allSee(roles.slice(0, 2), [manager, worker]);
    agents.start(other);
    await allSee(roles);
    await agents.lab.promote(worker);
    await allSee(roles.with(1, `${worker.name} manager`));
    assert.equal(((await ask(worker, '/info')) as Item).Name, worker.name);
    await agents.lab.demote(worker);
    await allSee(roles);
    assert.equal(((await ask(worker, '/info')) as Item).Name, manager.name);
  });

  it('S9: a member carries out what it is asked, and asks nobody else', async () => {
    const times = 5;
    // What was asked before may still be counted.
    const before = await eventually(async () => {
      const counts = await routedBy();
      assert.deepEqual(await routedBy(), counts);
      return counts;
    });
    for (let i = 0; i < times; i++) {
      await ask(worker, '/version', { [target]: other.name });
      await ask(worker, '/containers/json', { [target]: other.name });
      await ask(worker, '/info', { [target]: other.name });
      await ask(worker, '/containers/json', { [managerOperation]: '1', [target]: other.name });
    }
    // An exchange is counted when its connection is done with it, which is after its answer.
    await eventually(async () => {
      const now = await routedBy();
      assert.deepEqual(
        now.map((routes, index) => riseOf(routes, before[index] ?? {})),
        [{ local: 2 * times }, { node: times, cluster: times, manager: 2 * times }, { local: times }],
      );
    });
  });

  it('S10: a name is looked up here alone, a full id on all nodes', async () => {
    const path = `/containers/${boxOf(other)}/json`;
    const { status, body } = await call(worker, path);
    assert.equal(status, 404);
    assert.match(JSON.parse(body).message, /No such container/);
    const { Id } = (await askEngine(other, path)) as Item;
    await eventually(async () =>
      assert.equal(((await ask(worker, `/containers/${String(Id)}/json`)) as Item).Id, Id),
    );
  });

  function call(node: LabNode, path: string, headers: Headers = {}): Promise<AgentAnswer> {
    return callAgent({ address: node.address, path, headers, signer: agents.signer });
  }

  function ask(node: LabNode, path: string, headers: Headers = {}): Promise<unknown> {
    return getJson({ address: node.address, path, headers, signer: agents.signer });
  }

  async function nodesListedInTime(): Promise<readonly string[]> {
    const startedMs = performance.now();
    const list = itemsOf(await ask(worker, '/containers/json'));
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < listWithinMs, `${tookMs.toFixed(0)} ms`);
    const names = list.map(({ Portainer }) => (Portainer as { Agent: Item }).Agent.NodeName);
    return [...new Set(names.map(String))].toSorted();
  }

  async function allSee(expected: readonly string[], nodes = agents.nodes): Promise<void> {
    for (const node of nodes) {
      const check = async (): Promise<void> => {
        const seen = await agentsSeenBy(node, agents.signer);
        assert.deepEqual(
          seen.map(({ NodeName, NodeRole }) => `${NodeName} ${NodeRole}`).toSorted(),
          expected,
        );
      };
      await eventually(check, { withinMs: roleWithinMs, everyMs: 100 });
    }
  }

  /** Of each node in turn: how many Docker requests its agent has sent where. */
  function routedBy(): Promise<readonly Readonly<Record<string, number>>[]> {
    return Promise.all(agents.nodes.map(routesOf));
  }
});

async function routesOf(node: LabNode): Promise<Readonly<Record<string, number>>> {
  const { stdout } = await node.run(['busybox', 'wget', '-qO-', 'http://127.0.0.1:9003/metrics']);
  const counts: Record<string, number> = {};
  for (const [, route = '', count] of stdout.matchAll(
    /^flotilla_requests_total\{route="(\w+)".*\} (\d+)$/gm,
  )) {
    if (route !== 'own') counts[route] = (counts[route] ?? 0) + Number(count);
  }
  return counts;
}

/** What has grown, and by how much. */
function riseOf(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const rises = Object.entries(now).map(([route, count]) => [route, count - (before[route] ?? 0)] as const);
  return Object.fromEntries(rises.filter(([, rise]) => rise > 0));
}

function assertError({ status, headers, body }: AgentAnswer, name: 'unknownTarget' | 'noManager'): void {
  assert.equal(headers['content-type'], 'application/json');
  assert.deepEqual({ status, body: JSON.parse(body) }, vectors.errors[name]);
}

/** What the engine itself answers. */
function askEngine(node: LabNode, path: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const signal = AbortSignal.timeout(engineTimeoutMs);
  const outgoing = request({ socketPath: node.engineSocket, path, signal });
  outgoing.on('error', reject);
  outgoing.on('response', (response) => resolve(json(response)));
  outgoing.end();
  return promise;
}

/** A list, without what changes from second to second. */
function itemsOf(answer: unknown): readonly Item[] {
  const list = Array.isArray(answer) ? answer : (answer as { readonly Volumes: unknown }).Volumes;
  assert.ok(Array.isArray(list), JSON.stringify(answer));
  return list.map(({ Status: _, ...item }: Item) => item);
}

function decorated(item: Item, node: LabNode): Item {
  return { ...item, Portainer: { Agent: { NodeName: node.name } } };
}

/** Members answer in any order. */
function sorted(items: readonly Item[]): readonly Item[] {
  const keyOf = (item: Item): string => JSON.stringify([item.Portainer, item.Id ?? item.Name]);
  return items.toSorted((one, two) => (keyOf(one) < keyOf(two) ? -1 : 1));
}

function boxOf(node: LabNode): string {
  return `box-${node.name}`;
}

async function startBox(node: LabNode): Promise<void> {
  await node.docker(['run', '-d', '--name', boxOf(node), busyboxImage, 'sleep', '100000']);
}
