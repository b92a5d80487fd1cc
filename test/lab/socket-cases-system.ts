// What a docker CLI says on the cluster socket of the cluster as a whole: events, sums, prune on all nodes, and the ways to
// name a node, one case a line.

import assert from 'node:assert/strict';

import { boxOf } from '../support/cli-bench.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { doneOf, fixtureLabel, networkOf, type SocketWorld, volumeOf } from '../support/socket-bench.ts';
import { type CliCase, sortedLines } from './cli-cases.ts';

export const socketSystemCases: readonly CliCase<SocketWorld>[] = [
  { name: 'events of all nodes arrive as they happen, each once, with their node', check: followsAll },
  { name: 'events of the past of all nodes come to an end, in their order', check: listsAllEvents },
  { name: 'events --filter node', check: filtersEvents },
  // One case: an engine refuses a second one while it counts.
  { name: 'system df, and -v with what each node has', check: tellsUsage },
  { name: 'info adds up', check: tellsInfo },
  { name: 'version', check: tellsVersion },
  {
    name: 'plugin ls',
    check: async ({ docker }) => assert.match(await docker.text(['plugin', 'ls']), /^ID /),
  },
  { name: 'a target sends any command to that node', check: obeysTarget },
  { name: 'a target that does not exist is refused', check: refusesTarget },
  { name: 'the node socket shows exactly that node', check: showsOneNode },
];

/** Each would work on what other cases make. */
export const socketPruneCases: readonly CliCase<SocketWorld>[] = [
  { name: 'container prune works on all nodes', check: prunesContainers },
  { name: 'image prune works on all nodes', check: prunesImages },
  { name: 'network prune works on all nodes', check: prunesNetworks },
  { name: 'system prune works on all nodes', check: prunesSystem },
  { name: 'prune --filter node works on that node alone', check: prunesOneNode },
  {
    name: 'builder prune',
    check: async ({ docker }) => void (await docker.text(['builder', 'prune', '--force'])),
  },
  { name: 'volume prune works only where it is told to', check: prunesVolumes },
];

const eventLine = ['--format', '{{index .Actor.Attributes "flotilla.node"}} {{.Action}} {{.Actor.ID}}'];

/** Makes and removes a volume of its own on each node, and returns the lines of their events in that order. */
async function makeEvents(nodes: readonly LabNode[], unique: string): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { name, docker } of nodes) {
    const volume = `${unique}-${name}`;
    await docker(['volume', 'create', volume]);
    await docker(['volume', 'rm', volume]);
    lines.push(`${name} create ${volume}`, `${name} destroy ${volume}`);
  }
  return lines;
}

function linesOf(said: string, unique: string): readonly string[] {
  return said.split('\n').filter((line) => line.includes(unique));
}

async function followsAll({ docker, nodes, unique }: SocketWorld): Promise<void> {
  // From a moment ago, because nothing tells when the CLI has begun to listen.
  const since = ['--since', String(Math.floor(Date.now() / 1_000))];
  await using events = docker.start(['events', ...since, '--filter', 'type=volume', ...eventLine]);
  const expected = await makeEvents(nodes, unique);
  await Promise.all(expected.map((line) => events.says(new RegExp(`^${line}$`, 'm'))));
  // Live ones come on arrival: in order for each node, not between them.
  assert.deepEqual(linesOf(events.said(), unique).toSorted(), expected.toSorted());
}

async function listsAllEvents({ docker, nodes, unique }: SocketWorld): Promise<void> {
  const since = String(Date.now() / 1_000);
  const expected = await makeEvents(nodes, unique);
  const range = ['--since', since, '--until', String(Date.now() / 1_000)];
  const listed = await docker.text(['events', ...range, '--filter', 'type=volume', ...eventLine]);
  assert.deepEqual(linesOf(listed, unique), expected);
}

async function filtersEvents({ docker, node, nodes, unique }: SocketWorld): Promise<void> {
  const since = String(Date.now() / 1_000);
  const expected = await makeEvents(nodes, unique);
  const range = ['--since', since, '--until', String(Date.now() / 1_000)];
  const filters = ['--filter', 'type=volume', '--filter', `node=${node.name}`];
  const listed = await docker.text(['events', ...range, ...filters, ...eventLine]);
  assert.deepEqual(
    linesOf(listed, unique),
    expected.filter((line) => line.startsWith(`${node.name} `)),
  );
}

async function tellsUsage({ docker, nodes }: SocketWorld): Promise<void> {
  const table = await docker.text(['system', 'df', '--format', '{{.Type}}={{.TotalCount}}']);
  const counts = new Map(table.split('\n').map((line) => line.split('=') as [string, string]));
  assert.deepEqual([...counts.keys()], ['Images', 'Containers', 'Local Volumes', 'Build Cache']);
  // Two of the fixture on each node, and what other cases have just now.
  assert.ok(Number(counts.get('Containers')) >= 2 * nodes.length, table);
  assert.ok(Number(counts.get('Local Volumes')) >= nodes.length, table);
  const whole = await docker.text(['system', 'df', '--verbose']);
  for (const node of nodes) {
    for (const container of [boxOf(node), doneOf(node)])
      assert.match(whole, new RegExp(` ${container}$`, 'm'));
    assert.match(whole, new RegExp(`^${volumeOf(node)} +1 `, 'm'));
  }
  assert.equal(whole.match(/^busybox +lab /gm)?.length, nodes.length);
}

async function tellsInfo({ docker, manager, nodes }: SocketWorld): Promise<void> {
  const format = ['info', '--format', '{{.NCPU}} {{.MemTotal}} {{.Swarm.Nodes}} {{.Swarm.ControlAvailable}}'];
  const [cpus = 0, memory = 0] = (await manager.docker(format)).split(' ').map(Number);
  assert.equal(
    await docker.text(format),
    `${cpus * nodes.length} ${memory * nodes.length} ${nodes.length} true`,
  );
  assert.match(await docker.text(['info']), /^ +Is Manager: true$/m);
}

async function tellsVersion({ docker, node }: SocketWorld): Promise<void> {
  const format = ['version', '--format', '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}}'];
  assert.equal(await docker.text(format), (await node.docker(format)).trim());
}

const nodeName = ['info', '--format', '{{.Name}}'];

async function obeysTarget({ targeting, node, unique }: SocketWorld): Promise<void> {
  const docker = targeting(node.name);
  assert.equal(await docker.text(nodeName), node.name);
  await docker.text(['volume', 'create', unique]);
  assert.equal(await docker.text(['run', '--rm', '--hostname', unique, busyboxImage, 'hostname']), unique);
  assert.equal((await node.docker(['volume', 'ls', '-q', '--filter', `name=${unique}`])).trim(), unique);
  assert.equal(
    await docker.text(['ps', '--filter', `label=${fixtureLabel}`, '--format', '{{.Names}}']),
    boxOf(node),
  );
  await docker.text(['volume', 'rm', unique]);
}

async function refusesTarget({ targeting, unique }: SocketWorld): Promise<void> {
  const docker = targeting(unique);
  for (const command of [['ps'], ['volume', 'create', unique], ['run', '-d', busyboxImage]]) {
    const { code, stderr } = await docker.run(command);
    assert.notEqual(code, 0, command.join(' '));
    assert.match(stderr, new RegExp(`no node is called "${unique}": there are node-`), command.join(' '));
  }
}

async function showsOneNode({ onSocketOf, here, node, nodes, unique }: SocketWorld): Promise<void> {
  for (const each of nodes) assert.equal(await onSocketOf(each).text(nodeName), each.name);
  const docker = onSocketOf(node);
  const list = ['ps', '-a', '--filter', `label=${fixtureLabel}`, '--format', '{{.Names}} {{.Labels}}'];
  assert.equal(await docker.text(list), (await node.docker(list)).trim());
  assert.equal((await docker.run(['inspect', boxOf(here)])).code, 1);
  assert.equal(await docker.text(['network', 'inspect', '--format', '{{.Name}}', 'bridge']), 'bridge');
  const run = ['run', '--rm', '--name', unique, '-i', busyboxImage, 'sh', '-c', 'cat; exit 6'];
  const { code, stdout } = await docker.run(run, { input: 'words' });
  assert.equal(`${code} ${stdout}`, '6 words');
}

function forAll(
  nodes: readonly LabNode[],
  make: (node: LabNode) => readonly string[],
): Promise<readonly string[]> {
  return Promise.all(nodes.map(async (node) => (await node.docker(make(node))).trim()));
}

/** What is left on each node of what has this label. */
function left(
  nodes: readonly LabNode[],
  list: readonly string[],
  unique: string,
): Promise<readonly string[]> {
  return forAll(nodes, () => [...list, '--quiet', '--filter', `label=by=${unique}`]);
}

const containers = ['ps', '--all', '--no-trunc'];
const networks = ['network', 'ls', '--no-trunc'];
const images = ['images', '--no-trunc'];
const volumes = ['volume', 'ls'];
const force = ['--force', '--filter'];

async function prunesContainers({ docker, nodes, unique }: SocketWorld): Promise<void> {
  const ids = await forAll(nodes, () => ['create', '--label', `by=${unique}`, busyboxImage]);
  const said = await docker.text(['container', 'prune', ...force, `label=by=${unique}`]);
  for (const id of ids) assert.ok(said.includes(id), said);
  assert.deepEqual(
    await left(nodes, containers, unique),
    nodes.map(() => ''),
  );
}

async function prunesImages({ docker, nodes, unique }: SocketWorld): Promise<void> {
  await forAll(nodes, (node) => ['commit', '--change', `LABEL by=${unique}`, boxOf(node)]);
  assert.ok((await left(nodes, images, unique)).every((ids) => ids.startsWith('sha256:')));
  assert.match(
    await docker.text(['image', 'prune', ...force, `label=by=${unique}`]),
    /^Total reclaimed space: /m,
  );
  assert.deepEqual(
    await left(nodes, images, unique),
    nodes.map(() => ''),
  );
}

async function prunesNetworks({ docker, nodes, unique }: SocketWorld): Promise<void> {
  await forAll(nodes, ({ name }) => ['network', 'create', '--label', `by=${unique}`, `${unique}-${name}`]);
  const said = await docker.text(['network', 'prune', ...force, `label=by=${unique}`]);
  for (const { name } of nodes) assert.ok(said.includes(`${unique}-${name}`), said);
  assert.deepEqual(
    await left(nodes, networks, unique),
    nodes.map(() => ''),
  );
}

async function prunesSystem({ docker, nodes, unique }: SocketWorld): Promise<void> {
  await forAll(nodes, () => ['create', '--label', `by=${unique}`, busyboxImage]);
  await forAll(nodes, ({ name }) => ['network', 'create', '--label', `by=${unique}`, `${unique}-${name}`]);
  await docker.text(['system', 'prune', ...force, `label=by=${unique}`]);
  for (const list of [containers, networks])
    assert.deepEqual(
      await left(nodes, list, unique),
      nodes.map(() => ''),
    );
  // What others use is still there.
  for (const node of nodes) await node.docker(['network', 'inspect', networkOf(node)]);
}

async function prunesOneNode({ docker, node, nodes, unique }: SocketWorld): Promise<void> {
  const ids = await forAll(nodes, () => ['create', '--label', `by=${unique}`, busyboxImage]);
  const filters = ['--filter', `node=${node.name}`];
  await docker.text(['container', 'prune', ...force, `label=by=${unique}`, ...filters]);
  const expected = ids.map((id, at) => (nodes[at] === node ? '' : id));
  assert.deepEqual(await left(nodes, containers, unique), expected);
  await docker.text(['rm', ...expected.filter(Boolean)]);
}

async function prunesVolumes({ docker, targeting, node, nodes, unique }: SocketWorld): Promise<void> {
  const names = nodes.map(({ name }) => `${unique}-${name}`);
  await forAll(nodes, ({ name }) => ['volume', 'create', '--label', `by=${unique}`, `${unique}-${name}`]);
  const prune = ['volume', 'prune', ...force, `label=by=${unique}`];
  const { code, stderr } = await docker.run(prune);
  assert.equal(code, 1);
  assert.match(stderr, /pruning volumes deletes data.*X-PortainerAgent-Target/);
  assert.deepEqual(sortedLines((await left(nodes, volumes, unique)).join('\n')), names);
  await targeting(node.name).text(prune);
  const others = names.filter((name) => name !== `${unique}-${node.name}`);
  assert.deepEqual(sortedLines((await left(nodes, volumes, unique)).join('\n')), others);
  await targeting('*').text(prune);
  assert.deepEqual(
    await left(nodes, volumes, unique),
    nodes.map(() => ''),
  );
}

export async function does30AtOnce({ docker, node, nodes, box }: SocketWorld): Promise<void> {
  const commands = Array.from({ length: 10 }, (_, at): readonly [readonly string[], RegExp][] => [
    [['exec', box, 'sh', '-c', `echo ${at}-$(hostname)`], new RegExp(`^${at}-${node.name}$`)],
    [['inspect', '--format', `{{.Config.Hostname}}-${at}`, box], new RegExp(`^${node.name}-${at}$`)],
    [['ps', '--format', '{{.Names}}'], new RegExp(nodes.map(() => 'box-node-\\d(?:\\n[^]*)?').join(''))],
  ]);
  const answers = commands.flat().map(async ([command, pattern]) => {
    assert.match(await docker.text(command), pattern, command.join(' '));
  });
  assert.equal(answers.length, 30);
  await Promise.all(answers);
}
