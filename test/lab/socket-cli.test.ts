// One docker.sock for the whole Swarm: unmodified docker CLIs, with no header and no node name, drive what is on another
// node than the one whose socket they are connected to. Debian's CLI is the required one; others on PATH do the same.

import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { type CliBinary, findDockerClis } from '../support/docker-cli.ts';
import { isLong } from '../support/scale.ts';
import {
  createSocketBench,
  type SocketBench,
  type SocketRoute,
  type SocketWorld,
} from '../support/socket-bench.ts';
import { type CliCase, workCases } from './cli-cases.ts';
import { socketContainerCases } from './socket-cases-containers.ts';
import { socketImageCases } from './socket-cases-images.ts';
import { socketListCases } from './socket-cases-lists.ts';
import { socketNetworkCases, socketOverlayCases, socketVolumeCases } from './socket-cases-networks.ts';
import { socketManagerCases, socketSwarmCases } from './socket-cases-swarm.ts';
import { does30AtOnce, socketPruneCases, socketSystemCases } from './socket-cases-system.ts';

const startTimeoutMs = 120_000;
/** Longer than a CLI's own deadlines together, which say more. */
const caseTimeoutMs = 60_000;
/** The Swarm takes some ten seconds to start a task, and five to remove it. */
const swarmCaseTimeoutMs = 120_000;
const wholeWithinMs = 30_000;
/** Cases at work at the same time: most of them wait for an engine. */
const maxParallelCases = 4;
/** These wait for the Swarm, and start several containers each. */
const maxParallelSwarmCases = 4;

type Case = CliCase<SocketWorld>;

/** Of what is on one node. */
const ownerCases: readonly Case[] = [
  ...workCases,
  ...socketContainerCases,
  ...socketImageCases,
  ...socketVolumeCases,
  ...socketNetworkCases,
];
/** Of all nodes, wherever something is. */
const clusterCases: readonly Case[] = [...socketListCases, ...socketSystemCases, ...socketManagerCases];
const swarm: readonly Case[] = [...socketOverlayCases, ...socketSwarmCases];

// node-1 is the manager, the others are workers. In a short run the CLIs share the ways: from the manager to a worker, and from
// a worker to the manager; at full length, or alone, each asks from every node, and for what is on each node.
const binaries = findDockerClis();
const areAllWhole = isLong || binaries.length === 1;
const clis = binaries.map((cli, at) =>
  at === 0
    ? {
        cli,
        routes: someOf(routesTo(2, 3, 1), 0),
        clusterFrom: areAllWhole ? [1, 2] : [1],
      }
    : {
        cli,
        routes: someOf(routesTo(3, 1, 2), 1),
        clusterFrom: areAllWhole ? [3] : [2],
      },
);

function someOf(routes: readonly SocketRoute[], ...short: readonly number[]): readonly SocketRoute[] {
  return areAllWhole ? routes : routes.filter((_route, at) => short.includes(at));
}

function routesTo(...owners: readonly [number, number, number]): readonly SocketRoute[] {
  return owners.map((owner, at) => ({ entry: at + 1, owner }));
}

describe('the docker CLI on the cluster socket', function () {
  this.timeout(startTimeoutMs);
  let agents: AgentLab;
  let bench: SocketBench;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    bench = await createSocketBench(agents.nodes);
  });

  after(async () => {
    bench?.[Symbol.dispose]();
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  const testsOf = (cases: readonly Case[], cli: CliBinary, route: SocketRoute): readonly Test[] =>
    cases
      .filter(({ buildKit }) => cli.hasBuildKit || buildKit !== true)
      .map(({ name, check }) => ({ name, run: () => check(bench.worldOf(cli, route)) }));

  for (const { cli, routes, clusterFrom } of clis) {
    for (const route of routes) {
      const cases = clusterFrom.includes(route.entry) ? [...clusterCases, ...ownerCases] : ownerCases;
      describe(`${cli.version}, connected to node-${route.entry}, with what is on node-${route.owner}`, function () {
        this.timeout(caseTimeoutMs);
        describeTogether(testsOf(cases, cli, route), maxParallelCases);
      });
    }
  }

  describe('with the Swarm', function () {
    this.timeout(swarmCaseTimeoutMs);
    // On the manager and on a worker.
    const tests = clis.flatMap(({ cli, routes }) =>
      routes.slice(0, 2).flatMap((route) =>
        testsOf(swarm, cli, route).map(({ name, run }) => ({
          name: `${cli.version}, connected to node-${route.entry}: ${name}`,
          run,
        })),
      ),
    );
    describeTogether(tests, maxParallelSwarmCases);
  });

  for (const { cli, routes } of clis) {
    const [route] = routes;
    if (route === undefined) continue;
    describe(`${cli.version} otherwise`, function () {
      this.timeout(caseTimeoutMs);
      it('does 30 things at once', () => does30AtOnce(bench.worldOf(cli, route)));
      for (const { name, run } of testsOf(socketPruneCases, cli, route)) it(name, run);
    });
  }
});

interface Test {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** They run so many at a time, and what mocha knows as a test waits for its own. */
function describeTogether(tests: readonly Test[], parallel: number): void {
  let running: readonly Promise<PromiseSettledResult<void>>[] = [];

  before(() => {
    running = runAll(
      tests.map(({ run }) => run),
      parallel,
    );
  });

  for (const [index, { name }] of tests.entries()) {
    it(name, async () => {
      const outcome = await running[index];
      if (outcome?.status !== 'fulfilled') throw outcome?.reason;
    });
  }
}

/** In their order, so many at a time. What fails is told to whoever waits for it, and stops nothing. */
function runAll(
  tasks: readonly (() => Promise<void>)[],
  parallel: number,
): readonly Promise<PromiseSettledResult<void>>[] {
  const waiting = tasks.map((run) => ({ run, done: Promise.withResolvers<PromiseSettledResult<void>>() }));
  const left = waiting.values();
  const work = async (): Promise<void> => {
    // All workers take from the same iterator.
    for (const { run, done } of left) {
      const [outcome] = await Promise.allSettled([run()]);
      done.resolve(outcome);
    }
  };
  for (let worker = 0; worker < parallel; worker++) void work();
  return waiting.map(({ done }) => done.promise);
}
