// Debian's docker-compose, unchanged, on one docker.sock for three engines: a project on the entry's node while others run
// elsewhere, and a project of the same name on another node, which is never taken for its own.

import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import {
  type ComposeProjects,
  clusterSocketOf,
  createComposeProjects,
  nodeSocketOf,
  type ProjectState,
  stateOf,
} from '../support/compose-project.ts';
import type { CliResult, DockerCli } from '../support/docker-cli.ts';
import { eventually } from '../support/eventually.ts';
import type { LabNode } from '../support/lab/node.ts';
import { isLong } from '../support/scale.ts';

const testTimeoutMs = 180_000;
const wholeWithinMs = 30_000;
const everyCommand: readonly (readonly string[])[] = [
  ['ps'],
  ['stop'],
  ['kill'],
  ['restart'],
  ['rm', '--force', '--stop'],
  ['down', '--volumes'],
];
/** Where all of them were refused before for a project with networks and volumes. */
const someCommands = isLong ? everyCommand : everyCommand.slice(-2);
const nothing: ProjectState = { containers: [], networks: [], volumes: [] };

describe('docker-compose on the cluster socket', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let compose: ComposeProjects;
  let first: LabNode;
  let second: LabNode;

  before(async () => {
    agents = await createAgentLab({ nodes: 3, swarm: false, env: patient });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    compose = createComposeProjects();
    first = agents.node(1);
    second = agents.node(2);
    const sockets = [clusterSocketOf(first), ...agents.nodes.map((node) => nodeSocketOf(first, node))];
    await eventually(() => Promise.all(sockets.map((socket) => access(socket))), { withinMs: wholeWithinMs });
  });

  after(async () => {
    compose?.[Symbol.dispose]();
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  const onCluster = (project: string): DockerCli => compose.on(clusterSocketOf(first), project);
  const onNode = (node: LabNode, project: string): DockerCli =>
    compose.on(nodeSocketOf(first, node), project);

  describe('with a project of its own', () => {
    const project = 'own';
    let docker: DockerCli;
    let others: ProjectState;

    before(async () => {
      docker = onCluster(project);
      await onNode(second, 'other').text(['up', '--detach']);
      others = await stateOf(second, 'other');
      assert.equal(others.containers.length, 2);
    });

    after(async () => {
      await onNode(second, 'other').text(['down', '--volumes']);
    });

    // Each goes on with what the one before it left.
    it('brings it up on the node of the socket', async () => {
      await docker.text(['up', '--detach']);
      const { containers, networks, volumes } = await stateOf(first, project);
      assert.equal(containers.filter((line) => line.includes(' running ')).length, 2);
      assert.deepEqual([networks.length, volumes], [1, ['own_data']]);
      assert.deepEqual(await stateOf(second, project), nothing);
    });

    it('finds it as it is when it is brought up again', async () => {
      const found = await stateOf(first, project);
      assert.match((await docker.run(['up', '--detach'])).stderr, /own_web_1 is up-to-date/);
      assert.deepEqual(await stateOf(first, project), found);
    });

    it('shows it alone', async () => {
      const shown = await docker.text(['ps']);
      assert.match(shown, /own_store_1 .* Up/);
      assert.match(shown, /own_web_1 .* Up/);
      assert.doesNotMatch(shown, /other/);
      assert.equal((await docker.text(['ps', '--quiet'])).split('\n').length, 2);
    });

    it('follows its logs, line by line', async () => {
      await using logs = docker.start(['logs', '--follow', '--no-color']);
      const [, seen = ''] = await logs.says(/web_1 .*\| line (\d+)/);
      await logs.says(new RegExp(`web_1 .*\\| line ${Number(seen) + 10}\\b`));
      assert.doesNotMatch(logs.said(), /other/);
    });

    for (const [by, env] of [
      ['itself', { COMPOSE_INTERACTIVE_NO_CLI: '1' }],
      ['the docker CLI', {}],
    ] as const) {
      it(`executes commands in it by ${by}, with their exit codes`, async () => {
        const exec = (...command: readonly string[]): Promise<CliResult> =>
          docker.run(['exec', '-T', 'store', ...command], { env });
        const read = await exec('cat', '/data/file');
        assert.deepEqual([read.code, read.stdout.toString()], [0, 'kept\n']);
        assert.equal((await exec('sh', '-c', 'exit 7')).code, 7);
      });
    }

    it('runs a command beside it, and removes it afterwards', async () => {
      const { code, stdout } = await docker.run(['run', '-T', '--rm', 'store', 'cat', '/data/file']);
      assert.deepEqual([code, stdout.toString().trim()], [0, 'kept']);
      assert.equal((await stateOf(first, project)).containers.length, 2);
    });

    it('does it from another node as well', async () => {
      const there = compose.on(clusterSocketOf(second), project);
      await there.text(['restart', '--timeout', '1', 'web']);
      const { code, stdout } = await there.run(['exec', '-T', 'store', 'cat', '/data/file']);
      assert.deepEqual([code, stdout.toString()], [0, 'kept\n']);
    });

    it('takes it down, and nothing else', async () => {
      await docker.text(['down', '--volumes']);
      assert.deepEqual(await stateOf(first, project), nothing);
      assert.deepEqual(await stateOf(second, 'other'), others);
    });
  });

  it('brings a project up on the node that the settings of the CLI name', async () => {
    const docker = compose.on(clusterSocketOf(first), 'there', { target: second.name });
    await docker.text(['up', '--detach']);
    assert.equal((await stateOf(second, 'there')).containers.length, 2);
    assert.deepEqual(await stateOf(first, 'there'), nothing);
    await docker.text(['down', '--volumes']);
    assert.deepEqual(await stateOf(second, 'there'), nothing);
  });

  describe('with a project of the same name on another node', () => {
    const project = 'same';
    const states = (): Promise<readonly ProjectState[]> =>
      Promise.all(agents.nodes.map((node) => stateOf(node, project)));

    beforeEach(async () => {
      await Promise.all([first, second].map((node) => onNode(node, project).text(['up', '--detach'])));
    });

    afterEach(async () => {
      await Promise.all([first, second].map((node) => onNode(node, project).run(['down', '--volumes'])));
    });

    it('takes neither for its own, and says what to do instead', async () => {
      const found = await states();
      assert.deepEqual(
        found.map(({ containers }) => containers.length),
        [2, 2, 0],
      );
      for (const command of everyCommand) await refuses(onCluster(project), command, /; name one, such as /);
      assert.deepEqual(await states(), found);
    });

    it('takes neither for its own when there are containers and nothing else', async () => {
      const bare = { form: 'bare' } as const;
      const onNodes = [first, second].map((node) => compose.on(nodeSocketOf(first, node), 'bare', bare));
      for (const docker of onNodes) await docker.text(['up', '--detach']);
      const found = await Promise.all([first, second].map((node) => stateOf(node, 'bare')));
      assert.deepEqual(
        found.map(({ containers }) => containers.length),
        [1, 1],
      );
      const docker = compose.on(clusterSocketOf(first), 'bare', bare);
      const remedy = new RegExp(
        `several nodes have containers of the Compose project bare: ${first.name}, ${second.name}; ` +
          `use the socket of one, such as nodes/${first.name}\\.sock`,
      );
      for (const command of [...someCommands, ['up', '--detach', '--force-recreate']])
        await refuses(docker, command, remedy);
      assert.deepEqual(await Promise.all([first, second].map((node) => stateOf(node, 'bare'))), found);
      for (const each of onNodes) await each.text(['down']);
    });

    it('is told which networks are meant when it is brought up', async () => {
      const before = await states();
      const { code, stderr } = await onCluster(project).run(['up', '--detach']);
      assert.notEqual(code, 0);
      assert.match(
        stderr,
        new RegExp(`network ${project}_default is ambiguous: ${first.name}/${project}_default, `),
      );
      assert.match(stderr, /name one, such as .*, or give a target node/);
      assert.deepEqual(await states(), before);
    });

    it('removes no network and no volume that may be another one', async () => {
      for (const node of [first, second]) await onNode(node, project).text(['rm', '--force', '--stop']);
      const before = await states();
      const { code, stderr } = await onCluster(project).run(['down', '--volumes']);
      assert.notEqual(code, 0);
      assert.match(stderr, /network same_default is ambiguous: .*; name one, such as /);
      for (const node of [first, second]) await node.docker(['network', 'rm', `${project}_default`]);
      const volumes = await onCluster(project).run(['down', '--volumes']);
      assert.notEqual(volumes.code, 0);
      assert.match(volumes.stderr, /volume same_data is ambiguous: .*; name one, such as /);
      assert.deepEqual(
        (await states()).map((state) => state.volumes),
        before.map((state) => state.volumes),
      );
    });

    it('leaves the other one alone on the sockets of the nodes', async () => {
      const [ofFirst, ofSecond] = await states();
      const docker = onNode(second, project);
      assert.equal((await docker.text(['ps', '--quiet'])).split('\n').length, 2);
      await docker.text(['restart', '--timeout', '1']);
      assert.deepEqual(await stateOf(first, project), ofFirst);
      assert.deepEqual((await stateOf(second, project)).networks, ofSecond?.networks);
      await docker.text(['down', '--volumes']);
      assert.deepEqual(await states(), [ofFirst, nothing, nothing]);
      await onCluster(project).text(['down', '--volumes']);
      assert.deepEqual(await states(), [nothing, nothing, nothing]);
    });
  });
});

async function refuses(docker: DockerCli, command: readonly string[], words: RegExp): Promise<void> {
  const { code, stderr } = await docker.run(command);
  assert.notEqual(code, 0, `${command.join(' ')} was done`);
  assert.match(stderr, words);
}
