// What the cluster socket says of the cluster as a whole, and what it does to all of it, on three real engines: ping,
// version, info, disk usage, a network of the Swarm, archives of images, and prune. Asked by both docker CLIs.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';

import { type AgentLab, createAgentLab, patient, printLogsOnFailure } from '../support/agent-lab.ts';
import { createDockerCli, type DockerCli, findDockerClis, writeCliConfig } from '../support/docker-cli.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { type RawAnswer, type RawRequest, requestRaw } from '../support/raw-http.ts';

const testTimeoutMs = 120_000;
const wholeWithinMs = 30_000;
const network = 'web';

describe('the whole cluster on its socket', function () {
  this.timeout(testTimeoutMs);
  let agents: AgentLab;
  let nodes: readonly LabNode[];
  let scratch: string;

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'flotilla-objects-'));
    agents = await createAgentLab({ nodes: 3, swarm: true, env: patient });
    nodes = agents.nodes;
    agents.startAll();
    await agents.whole(wholeWithinMs);
    for (const node of nodes)
      await eventually(() => ask(node, { path: '/_ping' }), { withinMs: wholeWithinMs });
    await agents.node(1).docker(['network', 'create', '-d', 'overlay', '--attachable', network]);
    for (const node of nodes) {
      const run = ['run', '-d', '--name', `at-${node.name}`, '--network', network, busyboxImage];
      await node.docker([...run, 'sleep', '100000']);
    }
  });

  after(async () => {
    await agents?.[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  printLogsOnFailure(() => agents);

  const socketOf = (node: LabNode): string => join(node.runDir, 'flotilla/docker.sock');
  const ask = (node: LabNode, request: RawRequest): Promise<RawAnswer> =>
    requestRaw({ kind: 'unix', path: socketOf(node) }, request);
  const askEngine = (node: LabNode, path: string): Promise<RawAnswer> =>
    requestRaw({ kind: 'unix', path: node.engineSocket }, { path });
  const jsonOf = ({ body }: RawAnswer): Record<string, never> => JSON.parse(body.toString());
  const headersOf = ({ rawHeaders }: RawAnswer): Record<string, readonly string[]> =>
    Object.groupBy(
      rawHeaders.filter((_value, index) => index % 2 === 1),
      (_value, index) => rawHeaders[2 * index]?.toLowerCase() ?? '',
    ) as Record<string, readonly string[]>; // no group is empty
  let clients = 0;
  const cliOf = (
    binary: string,
    node: LabNode,
    headers: Readonly<Record<string, string>> = {},
  ): DockerCli => {
    clients += 1;
    const configDir = join(scratch, `config-${clients}`);
    writeCliConfig(configDir, { headers });
    return createDockerCli({ binary, host: `unix://${socketOf(node)}`, configDir });
  };
  const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '');

  const asEngine = ['api-version', 'ostype', 'server', 'docker-experimental', 'cache-control', 'pragma'];
  for (const method of ['GET', 'HEAD']) {
    it(`answers ${method} /_ping as an engine does, with the manager's state on every node`, async () => {
      for (const node of nodes) {
        const answer = await ask(node, { method, path: '/_ping' });
        const own = headersOf(await askEngine(node, '/_ping'));
        const said = headersOf(answer);
        assert.deepEqual([answer.status, answer.body.toString()], [200, method === 'GET' ? 'OK' : '']);
        assert.deepEqual(said.swarm, ['active/manager']);
        for (const name of asEngine) assert.deepEqual(said[name], own[name], name);
        for (const [name, values] of Object.entries(said)) assert.equal(values.length, 1, name);
      }
    });
  }

  it('names the engine of every node in the version', async () => {
    for (const { path: binary } of findDockerClis()) {
      const text = await cliOf(binary, agents.node(2)).text(['version']);
      assert.match(text, /Flotilla/);
      for (const { name } of nodes)
        assert.match(text, new RegExp(`${name}: +20\\.10\\.24\\S* \\(API 1\\.12 to 1\\.41\\)`));
    }
  });

  it('adds up what the engines have in the info, on a worker as on the manager', async () => {
    const each = (await Promise.all(nodes.map((node) => askEngine(node, '/info')))).map(jsonOf);
    const sumOf = (key: string): number => each.reduce((sum, info) => sum + Number(info[key]), 0);
    for (const node of nodes) {
      const answer = await ask(node, { path: '/info' });
      const info = jsonOf(answer);
      for (const key of ['Containers', 'ContainersRunning', 'NCPU', 'MemTotal'])
        assert.equal(info[key], sumOf(key), key);
      assert.equal(info.Name, agents.node(1).name);
      assert.partialDeepStrictEqual(info.Swarm, { ControlAvailable: true, Nodes: 3, Managers: 1 });
      assert.deepEqual(Object.keys(info), Object.keys(each[0] ?? {}));
      assert.deepEqual(headersOf(answer)['flotilla-nodes'], ['asked=3, answered=3, missing=0']);
    }
    const images = await Promise.all(
      nodes.map(async (node) => lines(await node.docker(['images', '--all', '--quiet', '--no-trunc']))),
    );
    for (const { path: binary } of findDockerClis()) {
      const cli = cliOf(binary, agents.node(3));
      const format = '{{.ContainersRunning}} {{.Images}} {{.Swarm.Nodes}}';
      assert.equal(
        await cli.text(['info', '--format', format]),
        `${sumOf('ContainersRunning')} ${new Set(images.flat()).size} 3`,
      );
      assert.match(await cli.text(['info']), /Is Manager: true/);
    }
  });

  it('joins the disk usage, and says of each item where it is', async () => {
    const usage = jsonOf(await ask(agents.node(2), { path: '/system/df' })) as unknown as {
      readonly LayersSize: number;
      readonly Containers: readonly {
        readonly Names: readonly string[];
        readonly Labels: Record<string, string>;
      }[];
    };
    const each = (await Promise.all(nodes.map((node) => askEngine(node, '/system/df')))).map(jsonOf);
    assert.equal(
      usage.LayersSize,
      each.reduce((sum, { LayersSize: size }) => sum + Number(size), 0),
    );
    const at = usage.Containers.map(({ Names: names, Labels: labels }) => [
      names[0],
      labels['flotilla.node'],
    ]);
    assert.deepEqual(
      at.toSorted(),
      nodes.map(({ name }) => [`/at-${name}`, name]),
    );
    for (const { path: binary } of findDockerClis()) {
      const cli = cliOf(binary, agents.node(1));
      assert.match(await cli.text(['system', 'df']), /^Containers +3 +3 /m);
      const verbose = await cli.text(['system', 'df', '--verbose']);
      for (const { name } of nodes) assert.match(verbose, new RegExp(` at-${name}$`, 'm'));
    }
  });

  it('inspects a network of the Swarm with the containers of all nodes', async () => {
    for (const node of nodes) {
      const [inspected] = JSON.parse(
        await cliOf(findDockerClis()[0]?.path ?? '', node).text(['network', 'inspect', network]),
      );
      const names = Object.values<{ readonly Name: string }>(inspected.Containers).map(
        ({ Name: name }) => name,
      );
      assert.deepEqual(
        names.filter((name) => name.startsWith('at-')).toSorted(),
        nodes.map(({ name }) => `at-${name}`),
      );
      assert.equal(inspected.Scope, 'swarm');
    }
  });

  it('saves images from the node that has them all, and says who has what where none has', async () => {
    const [, second, third] = nodes;
    assert.ok(second !== undefined && third !== undefined);
    for (const tag of ['both:1', 'both:2']) await third.docker(['tag', busyboxImage, tag]);
    await second.docker(['tag', busyboxImage, 'both:3']);
    for (const { path: binary } of findDockerClis()) {
      const cli = cliOf(binary, agents.node(1));
      const { code, stdout } = await cli.run(['save', 'both:1', 'both:2']);
      assert.equal(code, 0);
      assert.ok(stdout.includes('both'));
      const spread = await cli.run(['save', 'both:1', 'both:3']);
      assert.notEqual(spread.code, 0);
      assert.match(spread.stderr, /no node has all of these images: both:1 on node-3; both:3 on node-2/);
      assert.match((await cli.run(['save', 'both:1', 'none:1'])).stderr, /No such image: none:1/);
    }
  });

  it('prunes containers, networks, images and build cache on all nodes', async () => {
    for (const { path: binary } of findDockerClis()) {
      for (const node of nodes) {
        await node.docker(['create', '--name', 'left', busyboxImage]);
        await node.docker(['network', 'create', `left-${node.name}`]);
      }
      const cli = cliOf(binary, agents.node(2));
      const lone = ['--force', '--filter', `node=${agents.node(3).name}`];
      assert.equal(lines(await cli.text(['container', 'prune', ...lone])).length, 3);
      const ids = await Promise.all(
        nodes.map(async (node) =>
          lines(await node.docker(['ps', '-aq', '--no-trunc', '--filter', 'name=left'])),
        ),
      );
      assert.deepEqual(
        ids.map(({ length }) => length),
        [1, 1, 0],
      );
      const pruned = await cli.text(['system', 'prune', '--force']);
      for (const id of ids.flat()) assert.match(pruned, new RegExp(`^${id}$`, 'm'));
      for (const { name } of nodes) assert.match(pruned, new RegExp(`^left-${name}$`, 'm'));
    }
    // What is in use is still there.
    for (const node of nodes)
      assert.deepEqual(lines(await node.docker(['ps', '-a', '--format', '{{.Names}}'])), [`at-${node.name}`]);
  });

  it('prunes volumes only where it is told to', async () => {
    for (const { path: binary } of findDockerClis()) {
      for (const node of nodes) await node.docker(['volume', 'create', `left-${node.name}`]);
      const volumesLeft = async (): Promise<readonly number[]> =>
        Promise.all(nodes.map(async (node) => lines(await node.docker(['volume', 'ls', '-q'])).length));
      const refused = await cliOf(binary, agents.node(1)).run(['volume', 'prune', '--force']);
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /X-PortainerAgent-Target/);
      assert.deepEqual(await volumesLeft(), [1, 1, 1]);

      const prune = (target: string): Promise<string> =>
        cliOf(binary, agents.node(1), { 'X-PortainerAgent-Target': target }).text([
          'volume',
          'prune',
          '--force',
        ]);
      await prune(agents.node(3).name);
      assert.deepEqual(await volumesLeft(), [1, 1, 0]);
      assert.match(await prune('*'), /left-node-1\nleft-node-2/);
      assert.deepEqual(await volumesLeft(), [0, 0, 0]);
    }
  });

  it('says who is missing once an agent is gone', async () => {
    const third = agents.node(3);
    await agents.agent(third).kill();
    const gone = new RegExp(`^${third.name};reason=(dead|refused|reset|breaker-open);`);
    for (const path of ['/info', '/system/df', `/networks/${network}`]) {
      const answer = await ask(agents.node(1), { path });
      assert.equal(answer.status, 200);
      assert.match(headersOf(answer)['flotilla-missing']?.[0] ?? '', gone);
      const strict = await ask(agents.node(1), { path, headers: { 'Flotilla-Strict': '1' } });
      assert.equal(strict.status, 503, path);
    }
    await eventually(async () => {
      const info = await cliOf(findDockerClis()[0]?.path ?? '', agents.node(2)).run(['info']);
      assert.match(
        `${info.stdout}${info.stderr}`,
        /^node-3: WARNING: no answer \(\w+\), so it is not counted$/m,
      );
    });
    const report = jsonOf(await ask(agents.node(1), { method: 'POST', path: '/containers/prune' }));
    assert.partialDeepStrictEqual(report, { ContainersDeleted: null, SpaceReclaimed: 0 });
  });
});
