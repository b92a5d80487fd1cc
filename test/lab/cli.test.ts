// Unmodified docker CLIs drive a real Swarm through the agents: every case on the node that the CLI is connected to, and
// on another one by its target header. Debian's CLI is the required one; others on PATH do the same.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { type CliBench, createCliBench, type Route } from '../support/cli-bench.ts';
import { type CliBinary, findDockerClis } from '../support/docker-cli.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage, nodeImage } from '../support/lab/images.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';
import { buildAgentImage, deployStack, describeAgents, waitForStack } from '../support/lab/stack.ts';
import { isLong } from '../support/scale.ts';
import { createSigner } from '../support/signer.ts';
import { type CliCase, listCases, managerCases, portainerCases, workCases } from './cli-cases.ts';

const startTimeoutMs = 120_000;
/** Longer than a CLI's own deadline, which says more. */
const caseTimeoutMs = 90_000;
/** The Swarm takes some ten seconds to start a task, and five to remove it. */
const swarmCaseTimeoutMs = 90_000;
const deployTimeoutMs = 120_000;
const wholeWithinMs = 30_000;
const clis = findDockerClis();
const allCases: readonly CliCase[] = [...listCases, ...workCases];
/** One of each kind of exchange. */
const kindCases = /^(?:ps|inspect|logs -f|exec -i|attach|cp|run -i|build with|events arrive)/;

// node-1 is the manager, the others are workers.
const here: Route = { name: 'on the node it is connected to', entry: 2 };
const elsewhere: Route = { name: 'on another node', entry: 2, target: 3 };

/** Where others have all of them with the same bundle, in a short run. */
const someCases = isLong ? allCases : allCases.filter(({ name }) => kindCases.test(name));

/** The required CLI takes all cases and several ways, the others only at full length. */
function takesAll(cli: CliBinary): boolean {
  return isLong || cli === clis[0];
}

describe('the docker CLI', function () {
  this.timeout(startTimeoutMs);
  let agents: AgentLab;
  let bench: CliBench;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    bench = await createCliBench(agents.nodes, agents.signer);
  });

  after(async () => {
    bench?.[Symbol.dispose]();
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  for (const cli of clis) {
    if (takesAll(cli))
      for (const route of [here, elsewhere]) describeCases(cli, route, () => bench, allCases);
    else describeCases(cli, elsewhere, () => bench, someCases);

    describe(`${cli.version} otherwise`, function () {
      this.timeout(caseTimeoutMs);

      it('lists one node alone when that is connected to and named', async () => {
        const { docker, node, binary } = bench.worldOf(cli, { ...here, target: 2 });
        const args = ['ps', '--all', '--quiet', '--no-trunc'];
        assert.equal(await docker.text(args), (await node.docker(args, { cli: binary })).trim());
      });

      it('finds the node of a full id by itself', async () => {
        const { docker } = bench.worldOf(cli, here);
        const script = 'echo out; while read -r line; do echo "got $line"; done; exit 3';
        const create = ['create', '-i', busyboxImage, 'sh', '-c', script];
        const id = (await agents.node(3).docker(create)).trim();
        assert.equal(await docker.text(['start', id]), id);
        await eventually(async () => assert.equal(await docker.text(['logs', id]), 'out'));
        assert.equal(await docker.text(['exec', id, 'echo', 'hello']), 'hello');
        const { code, stdout } = await docker.run(['attach', id], { input: 'word\n' });
        assert.equal(`${code} ${stdout}`, '3 got word\n');
        assert.equal(await docker.text(['wait', id]), '3');
        assert.equal(await docker.text(['rm', id]), id);
      });
    });
  }

  describeSwarmCases(() => bench);
});

describe('the docker CLI, with the stack as users deploy it', function () {
  this.timeout(deployTimeoutMs);
  let lab: Lab;
  let bench: CliBench;

  before(async () => {
    lab = await createLab({ nodes: 3, swarm: true, images: [busyboxImage, nodeImage] });
    await buildAgentImage(lab.nodes);
    await deployStack(lab.node(1));
    const signer = createSigner();
    await waitForStack(lab, signer);
    bench = await createCliBench(lab.nodes, signer);
  });

  after(async () => {
    bench?.[Symbol.dispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write(`${await describeAgents(lab)}\n`);
  });

  const [debian] = clis;
  if (debian !== undefined) describeCases(debian, elsewhere, () => bench, someCases);

  it('lists the agents of all nodes through any of them', async () => {
    for (const entry of [1, 2, 3]) {
      for (const cli of clis) {
        const { docker } = bench.worldOf(cli, { name: '', entry });
        const images = await docker.text(['ps', '--format', '{{.Image}}', '--filter', 'name=flotilla_agent']);
        assert.deepEqual(images.split('\n'), Array(3).fill('flotilla:dev'));
      }
    }
  });
});

function describeCases(cli: CliBinary, route: Route, bench: () => CliBench, cases: readonly CliCase[]): void {
  describe(`${cli.version} ${route.name}`, function () {
    this.timeout(caseTimeoutMs);
    for (const each of cases) {
      if (each.buildKit && !cli.hasBuildKit) continue;
      it(each.name, () => each.check(bench().worldOf(cli, route)));
    }
  });
}

/** What mostly waits for the Swarm: all cases of a CLI wait at the same time. */
function describeSwarmCases(bench: () => CliBench): void {
  const routes: readonly (Route & { readonly cases: readonly CliCase[] })[] = [
    { name: 'on the manager it is connected to', entry: 1, cases: managerCases },
    { name: 'on the manager, from a worker', entry: 2, target: 1, cases: managerCases },
    {
      name: 'on a worker, with the settings of a Portainer server (S11)',
      entry: 3,
      settings: 'portainer',
      cases: portainerCases,
    },
  ];
  for (const cli of clis) {
    const taken = takesAll(cli) ? routes : routes.slice(1, 2);
    const swarmCases = taken.flatMap((route) =>
      route.cases.map((each) => ({
        name: `${route.name}: ${each.name}`,
        run: () => each.check(bench().worldOf(cli, route)),
      })),
    );

    describe(`${cli.version} with services and stacks`, function () {
      this.timeout(swarmCaseTimeoutMs);
      let running: readonly Promise<readonly PromiseSettledResult<void>[]>[] = [];

      before(() => {
        running = swarmCases.map(({ run }) => Promise.allSettled([run()]));
      });

      for (const [index, { name }] of swarmCases.entries()) {
        it(name, async () => {
          const [outcome] = (await running[index]) ?? [];
          if (outcome?.status !== 'fulfilled') throw outcome?.reason;
        });
      }
    });
  }
}
