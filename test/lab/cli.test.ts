// Unmodified docker CLIs drive a real Swarm through the agents: every case on the node that the CLI is connected to, and
// on another one by its target header. Debian's CLI is the required one; others on PATH do the same.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, printLogsOnFailure } from '../support/agent-lab.ts';
import { type CliBinary, createDockerCli, findDockerClis, writeCliConfig } from '../support/docker-cli.ts';
import { eventually } from '../support/eventually.ts';
import { callAgent } from '../support/lab/agent-client.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { allGone, type CliCase, type CliWorld, cliCases, managerCases, writeStackFile } from './cli-cases.ts';

/** Longer than the CLI's own deadline, which says more. */
const caseTimeoutMs = 30_000;
const startTimeoutMs = 60_000;
const wholeWithinMs = 30_000;
const blobBytes = 4 * 1024 * 1024;
const blob = randomBytes(blobBytes);
const target = 'X-PortainerAgent-Target';
const clis = findDockerClis();

/** Where a CLI connects, and the node that its target header names. */
interface Route {
  readonly name: string;
  readonly entry: number;
  readonly target?: number;
  readonly cases: readonly CliCase[];
}

// node-1 is the manager, the others are workers.
const routes: readonly Route[] = [
  { name: 'on the node it is connected to', entry: 2, cases: cliCases },
  { name: 'on another node', entry: 2, target: 3, cases: cliCases },
  { name: 'on the manager it is connected to', entry: 1, cases: managerCases },
  { name: 'on the manager, from a worker', entry: 2, target: 1, cases: managerCases },
];

describe('the docker CLI', function () {
  this.timeout(startTimeoutMs);
  const scratch = mkdtempSync(join(tmpdir(), 'flotilla-cli-'));
  let agents: AgentLab;
  let certificatePem = '';
  let count = 0;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: true });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    ({ certificatePem } = await callAgent({
      address: agents.node(1).address,
      path: '/ping',
      signer: agents.signer,
    }));
    await Promise.all(agents.nodes.map(startBox));
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  printLogsOnFailure(() => agents);

  for (const cli of clis) {
    for (const route of routes) {
      describe(`${cli.version} ${route.name}`, function () {
        this.timeout(caseTimeoutMs);
        for (const each of route.cases) {
          if (each.buildKit && !cli.hasBuildKit) continue;
          it(each.name, () => each.check(worldOf(cli, route)));
        }
      });
    }
    describe(`${cli.version} otherwise`, function () {
      this.timeout(caseTimeoutMs);

      it('lists one node alone when that is connected to and named', async () => {
        const { docker, node, binary } = worldOf(cli, { entry: 2, target: 2 });
        const args = ['ps', '--all', '--quiet', '--no-trunc'];
        assert.equal(await docker.text(args), (await node.docker(args, { cli: binary })).trim());
      });

      it('finds the node of a full id by itself', async () => {
        const { docker } = worldOf(cli, { entry: 2 });
        const script = 'echo out; while read -r line; do echo "got $line"; done; exit 3';
        const node = agents.node(3);
        const id = (await node.docker(['create', '-i', busyboxImage, 'sh', '-c', script])).trim();
        assert.equal(await docker.text(['start', id]), id);
        assert.equal(await docker.text(['logs', id]), 'out');
        assert.equal(await docker.text(['exec', id, 'echo', 'hello']), 'hello');
        const { code, stdout } = await docker.run(['attach', id], { input: 'word\n' });
        assert.equal(`${code} ${stdout}`, '3 got word\n');
        assert.equal(await docker.text(['wait', id]), '3');
        assert.equal(await docker.text(['rm', id]), id);
      });

      it('deploys and removes a stack with the settings of a Portainer server (S11)', async () => {
        const { unique, folder } = worldOf(cli, { entry: 2 });
        const docker = portainersCli(cli, agents.node(3), folder);
        const file = writeStackFile({ folder });
        const deploy = ['--prune', '--with-registry-auth', '--resolve-image=never', '--compose-file', file];
        await docker.text(['stack', 'deploy', ...deploy, unique]);
        await eventually(async () => assert.match(await docker.text(['service', 'ls']), / global +3\/3 /), {
          withinMs: 15_000,
          everyMs: 200,
        });
        const { code, stdout, stderr } = await docker.run(['stack', 'rm', unique]);
        assert.equal(code, 0, `${stdout}${stderr}`);
        await allGone(agents.nodes, `com.docker.stack.namespace=${unique}`);
        assert.equal(await docker.text(['service', 'ls', '--quiet', '--filter', `name=${unique}`]), '');
      });
    });
  }

  function worldOf(cli: CliBinary, route: Pick<Route, 'entry' | 'target'>): CliWorld {
    const unique = `case-${++count}`;
    const folder = join(scratch, unique);
    mkdirSync(folder);
    const node = agents.node(route.target ?? route.entry);
    const steering: Readonly<Record<string, string>> =
      route.target === undefined ? {} : { [target]: node.name };
    const configDir = join(scratch, `${unique}-config`);
    writeCliConfig(configDir, { headers: { ...agents.signer.headers(), ...steering }, certificatePem });
    const { address } = agents.node(route.entry);
    return {
      docker: createDockerCli({ binary: cli.path, address, configDir }),
      binary: cli.path,
      node,
      nodes: agents.nodes,
      box: boxOf(node),
      unique,
      folder,
      blob,
    };
  }

  /** Settings and arguments as `server-expectations.md` 7 has them: no ca.pem, and two quote characters instead. */
  function portainersCli(cli: CliBinary, node: LabNode, folder: string): CliWorld['docker'] {
    const configDir = join(folder, 'portainer');
    const headers = { 'X-PortainerAgent-ManagerOperation': '1', ...agents.signer.headers() };
    writeCliConfig(configDir, { headers });
    const tls = ['--config', configDir, '--tls', '--tlscacert', "''"];
    return createDockerCli({ binary: cli.path, address: node.address, configDir, arguments: tls });
  }
});

function boxOf(node: LabNode): string {
  return `box-${node.name}`;
}

async function startBox(node: LabNode): Promise<void> {
  const script = 'echo out; echo err >&2; exec sleep 100000';
  const options = ['-d', '--name', boxOf(node), '--hostname', node.name];
  await node.docker(['run', ...options, busyboxImage, 'sh', '-c', script]);
}
