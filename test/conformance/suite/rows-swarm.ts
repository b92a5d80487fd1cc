// Rows S1 to S11: several nodes behind one agent, as a Portainer server sees them.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { assertErrorBody } from '../../support/checks.ts';
import { eventually } from '../../support/eventually.ts';
import type { RawAnswer } from '../../support/raw-http.ts';
import { startStopwatch } from '../../support/stopwatch.ts';
import { type RecordedError, vectors } from '../../support/vectors.ts';
import {
  type Abilities,
  type Bench,
  type Item,
  itemsOf,
  managerOperation,
  messageOf,
  nodeOf,
  type SwarmFacts,
  target,
} from './bench.ts';
import { deployedStack } from './portainer-cli.ts';
import type { Row } from './row.ts';

/** What the original waits for a member that does not answer, and a little. */
const listWithinMs = 3_500;
const listPaths = ['/containers/json?all=1', '/images/json', '/networks', '/volumes'];
const managerPaths = ['/info', '/services', '/nodes', '/tasks', '/secrets', '/configs', '/swarm'];

export const swarmRows: readonly Row[] = [
  {
    id: 'S1',
    what: 'what only managers know is answered by a manager, whichever agent is asked',
    needs: ['swarm'],
    async run(bench) {
      for (const path of managerPaths) ok(await bench.json(path));
      const info = (await bench.json('/info')) as Item & { readonly Swarm: Item };
      equal(info.Swarm.ControlAvailable, true);
      ok(swarmOf(bench).managers.includes(String(info.Name)));
    },
  },
  {
    id: 'S2',
    what: 'lists hold what all nodes have, each item with its node; volumes in an object',
    needs: ['swarm'],
    async run(bench) {
      for (const path of listPaths) {
        const list = await bench.json(path);
        equal(Array.isArray(list), path !== '/volumes');
        deepEqual(nodesIn(itemsOf(list)), namesOf(bench), path);
      }
      deepEqual(boxesIn(bench, await bench.json('/containers/json')), placesOf(bench));
    },
  },
  {
    id: 'S3',
    what: 'with an agent gone, lists come within a little over 3 s with the rest, status 200',
    needs: ['swarm', 'kill', 'restart'],
    timeoutMs: 120_000,
    async run(bench) {
      const gone = lastOf(bench);
      await withoutAgents(bench, [gone], async () => {
        for (const path of listPaths) {
          using asking = startStopwatch();
          const nodes = nodesIn(itemsOf(await bench.json(path)));
          ok(asking.elapsedMs() < listWithinMs, `${path}: ${asking.elapsedMs()} ms`);
          deepEqual(
            nodes,
            namesOf(bench).filter((name) => name !== gone),
          );
        }
      });
    },
  },
  {
    id: 'S4',
    what: 'a target answers for itself; the own node as target gives its plain list',
    needs: ['swarm'],
    async run(bench) {
      for (const { node, id } of bench.boxes) {
        const found = (await bench.json(`/containers/${id}/json`, { [target]: node })) as Item;
        equal(found.Id, id);
      }
      const { entry } = swarmOf(bench);
      const own = itemsOf(await bench.json('/containers/json', { [target]: entry }));
      equal(
        own.some((item) => nodeOf(item) !== undefined),
        false,
      );
      deepEqual(
        ids(own).filter((id) => placesOf(bench).has(id)),
        [bench.box().id],
      );
    },
  },
  {
    id: 'S5',
    what: 'an unknown target: 500 with the two fixed texts',
    needs: ['swarm'],
    async run({ ask }) {
      for (const path of ['/version', '/containers/x/json', '/v1.41/volumes/x'])
        assertRecorded(await ask({ path, headers: { [target]: 'no-such-node' } }), 'unknownTarget');
    },
  },
  {
    id: 'S6',
    what: 'X-PortainerAgent-ManagerOperation: one manager’s plain list',
    needs: ['swarm'],
    async run(bench) {
      const headers = { [managerOperation]: '1', [target]: lastOf(bench) };
      const list = itemsOf(await bench.json('/containers/json', headers));
      equal(
        list.some((item) => nodeOf(item) !== undefined),
        false,
      );
      const places = [...boxesIn(bench, list).keys()].map((id) => placesOf(bench).get(id));
      equal(places.length, 1);
      ok(swarmOf(bench).managers.includes(places[0] ?? ''));
    },
  },
  {
    id: 'S7',
    what: 'no agent on a manager: 500 with the fixed text',
    needs: ['swarm', 'kill', 'restart'],
    timeoutMs: 120_000,
    async run(bench) {
      const { entry, managers } = swarmOf(bench);
      ok(!managers.includes(entry), 'the agent that is asked must be on a worker');
      await withoutAgents(bench, managers, async () => {
        await eventually(async () => assertRecorded(await bench.ask({ path: '/info' }), 'noManager'), {
          withinMs: 30_000,
        });
        assertRecorded(
          await bench.ask({ path: '/containers/json', headers: { [managerOperation]: '1' } }),
          'noManager',
        );
      });
    },
  },
  {
    id: 'S8',
    what: '/agents lists all members with their roles',
    needs: ['swarm'],
    async run(bench) {
      const agents = itemsOf(await bench.json('/agents'));
      const [first] = agents;
      deepEqual(Object.keys(first ?? {}).toSorted(), [
        'EdgeKeySet',
        'IPAddress',
        'NodeName',
        'NodeRole',
        'Port',
      ]);
      for (const { IPAddress, Port, EdgeKeySet } of agents)
        deepEqual([typeof IPAddress, typeof Port, typeof EdgeKeySet], ['string', 'string', 'boolean']);
      const nodes = itemsOf(await bench.json('/nodes')) as readonly {
        readonly Spec: Item;
        readonly Description: Item;
      }[];
      const expected = nodes.map(({ Spec, Description }) => `${Description.Hostname} ${Spec.Role}`);
      deepEqual(await rolesSeen(bench), expected.toSorted());
    },
  },
  {
    id: 'S8+',
    what: '/agents follows who leaves, joins, and is promoted or demoted',
    insteadOf: 'a role is read once, at the start of the agent',
    needs: ['swarm', 'kill', 'restart', 'promote', 'demote'],
    timeoutMs: 180_000,
    async run(bench) {
      const before = await rolesSeen(bench);
      const one = lastOf(bench);
      await withoutAgents(bench, [one], () =>
        sees(
          bench,
          before.filter((line) => !line.startsWith(`${one} `)),
        ),
      );
      await sees(bench, before);
      await called(bench.abilities.promote, one);
      try {
        await sees(
          bench,
          before.map((line) => line.replace(`${one} worker`, `${one} manager`)),
        );
      } finally {
        await called(bench.abilities.demote, one);
      }
      await sees(bench, before);
    },
  },
  {
    id: 'S9',
    what: 'what is forwarded is not forwarded or merged a second time',
    needs: ['swarm'],
    async run(bench) {
      for (const headers of [{}, { [target]: lastOf(bench) }, { [target]: 'no-such-node' }]) {
        const list = itemsOf(await bench.json('/containers/json', headers));
        deepEqual(boxesIn(bench, list), placesOf(bench));
        equal(new Set(ids(list)).size, list.length, 'an item came twice');
      }
    },
  },
  {
    id: 'S10',
    what: 'a container’s name on another node, without a target: Docker’s 404 with `No such container`',
    needs: ['swarm'],
    async run(bench) {
      const { status, body } = await bench.ask({ path: `/containers/${bench.box(lastOf(bench)).name}/json` });
      equal(status, 404);
      match(body.toString(), /No such container/);
    },
  },
  {
    id: 'S10+',
    what: 'a full id on another node, without a target, is found',
    insteadOf: '404',
    needs: ['swarm'],
    async run(bench) {
      const { id } = bench.box(lastOf(bench));
      equal(((await bench.json(`/containers/${id}/json`)) as Item).Id, id);
    },
  },
  {
    id: 'S11',
    what: 'the docker CLI with Portainer’s config.json: stack deploy, service ls, stack rm',
    needs: ['swarm', 'docker'],
    timeoutMs: 120_000,
    run: checkDockerCli,
  },
];

async function checkDockerCli(bench: Bench): Promise<void> {
  const stack = await deployedStack(bench);
  try {
    match(await stack.cli('service', 'ls'), new RegExp(`${stack.name}_web`));
    const services = itemsOf(await bench.json('/services')) as readonly { readonly Spec: Item }[];
    ok(services.some(({ Spec }) => Spec.Name === `${stack.name}_web`));
  } finally {
    await stack[Symbol.asyncDispose]();
  }
  equal((await stack.cli('service', 'ls')).includes(stack.name), false);
}

function swarmOf({ swarm }: Bench): SwarmFacts {
  if (swarm === undefined) throw new Error('a row was run without what it needs');
  return swarm;
}

function namesOf(bench: Bench): readonly string[] {
  const { entry, others } = swarmOf(bench);
  return [entry, ...others].toSorted();
}

/** A worker, where there is one besides the entry. */
export function lastOf(bench: Bench): string {
  const { others, managers } = swarmOf(bench);
  const one = others.find((name) => !managers.includes(name)) ?? others.at(-1);
  if (one === undefined) throw new Error('there is no other node');
  return one;
}

function nodesIn(list: readonly Item[]): readonly (string | undefined)[] {
  return [...new Set(list.map(nodeOf))].toSorted();
}

function ids(list: readonly Item[]): readonly string[] {
  return list.map(({ Id }) => String(Id));
}

function placesOf({ boxes }: Bench): ReadonlyMap<string, string> {
  return new Map(boxes.map(({ id, node }) => [id, node]));
}

/** Our own containers in a list, each with the node that the list names. */
function boxesIn(bench: Bench, list: unknown): ReadonlyMap<string, string | undefined> {
  const places = placesOf(bench);
  const found = itemsOf(list).filter(({ Id }) => places.has(String(Id)));
  const order = [...places.keys()];
  return new Map(
    found
      .map((item) => [String(item.Id), nodeOf(item)] as const)
      .toSorted(([one], [two]) => order.indexOf(one) - order.indexOf(two)),
  );
}

async function rolesSeen({ json }: Bench): Promise<readonly string[]> {
  const agents = itemsOf(await json('/agents'));
  return agents.map(({ NodeName, NodeRole }) => `${NodeName} ${NodeRole}`).toSorted();
}

function sees(bench: Bench, expected: readonly string[]): Promise<void> {
  return eventually(async () => deepEqual(await rolesSeen(bench), expected.toSorted()), {
    withinMs: 30_000,
    everyMs: 100,
  });
}

async function called(ability: Abilities['kill'], node: string): Promise<void> {
  if (ability === undefined) throw new Error('a row was run without what it needs');
  await ability(node);
}

export async function withoutAgents(
  { abilities }: Bench,
  nodes: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  for (const node of nodes) await called(abilities.kill, node);
  try {
    await work();
  } finally {
    for (const node of nodes) await called(abilities.restart, node);
  }
}

function assertRecorded(answer: RawAnswer, name: string): void {
  const recorded: RecordedError | undefined = vectors.errors[name];
  if (recorded === undefined) throw new Error(`no recorded error ${name}`);
  equal(messageOf(answer), recorded.body.message);
  assertErrorBody(answer, recorded.status, recorded.body);
}
