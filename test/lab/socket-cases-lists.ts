// What the lists of the docker CLI show on the cluster socket, one filter or flag a line: what all nodes have, each once.
// What is expected is what every engine says by itself of the same fixture.

import assert from 'node:assert/strict';

import { boxOf } from '../support/cli-bench.ts';
import type { LabNode } from '../support/lab/node.ts';
import {
  doneExitCode,
  doneOf,
  failsAsOnOneEngine,
  fixtureLabel,
  imageOf,
  networkOf,
  publishedPort,
  type SocketWorld,
  volumeOf,
} from '../support/socket-bench.ts';
import { type CliCase, sortedLines } from './cli-cases.ts';

export const socketListCases: readonly CliCase<SocketWorld>[] = [
  { name: 'ps lists what runs on any node', check: (w) => lists(w, ['ps'], boxes) },
  {
    name: 'ps --all lists what has ended, too',
    check: (w) => lists(w, all, (w) => [...boxes(w), ...dones(w)]),
  },
  { name: 'ps --filter name', check: (w) => lists(w, ps(`name=^${w.box}$`), own) },
  { name: 'ps --filter id', check: filtersById },
  { name: 'ps --filter label', check: (w) => lists(w, ps(`label=${fixtureLabel}=${w.node.name}`), ownBoth) },
  { name: 'ps --filter status', check: (w) => lists(w, ps('status=exited'), dones) },
  { name: 'ps --filter exited', check: (w) => lists(w, ps(`exited=${doneExitCode}`), dones) },
  { name: 'ps --filter ancestor', check: (w) => lists(w, ps(`ancestor=${imageOf(w.node)}`), ownBoth) },
  { name: 'ps --filter network', check: (w) => lists(w, ps(`network=${networkOf(w.node)}`), own) },
  { name: 'ps --filter volume', check: (w) => lists(w, ps(`volume=${volumeOf(w.node)}`), own) },
  { name: 'ps --filter publish', check: (w) => lists(w, ps(`publish=${publishedPort}`), boxes) },
  { name: 'ps --filter expose', check: (w) => lists(w, ps('expose=80'), boxes) },
  { name: 'ps --filter health', check: (w) => lists(w, ps('health=none', 'status=running'), boxes) },
  { name: 'ps --filter is-task', check: (w) => lists(w, ps('is-task=true'), () => []) },
  { name: 'ps --filter before a container of another node', check: (w) => filtersByTime(w, 'before') },
  { name: 'ps --filter since a container of another node', check: (w) => filtersByTime(w, 'since') },
  { name: 'ps --filter node', check: (w) => lists(w, ps(`node=${w.node.name}`), ownBoth) },
  { name: 'ps --filter node of no node finds nothing', check: (w) => lists(w, ps('node=nowhere'), () => []) },
  {
    name: 'ps --filter with an unknown key is refused',
    check: (w) => failsAsOnOneEngine(w, ps('nonsense=1')),
  },
  {
    name: 'ps --filter before an unknown container is refused',
    check: (w) => failsAsOnOneEngine(w, ps(`before=${w.unique}`)),
  },
  { name: 'ps -n lists the newest of all nodes, in order', check: (w) => listsNewest(w, ['-n', '2'], 2) },
  { name: 'ps -l lists the newest of all nodes', check: (w) => listsNewest(w, ['-l'], 1) },
  { name: 'ps -s tells sizes', check: tellsSizes },
  { name: 'ps -q prints the ids of the engines', check: printsIds },
  { name: 'ps tells the node as a label', check: tellsNode },
  { name: 'images lists those of all nodes', check: listsImages },
  { name: 'images --filter reference and node', check: filtersImages },
  { name: 'volume ls with filters', check: listsVolumes },
  { name: 'network ls with filters', check: listsNetworks },
];

type Names = (world: SocketWorld) => readonly string[];

const boxes: Names = ({ nodes }) => nodes.map(boxOf);
const dones: Names = ({ nodes }) => nodes.map(doneOf);
const own: Names = ({ box }) => [box];
const ownBoth: Names = ({ box, node }) => [box, doneOf(node)];

const ofFixture = ['--filter', `label=${fixtureLabel}`];
const all = ['ps', '--all'];
const names = ['--format', '{{.Names}}'];

function ps(...filters: readonly string[]): readonly string[] {
  return [...all, ...filters.flatMap((filter) => ['--filter', filter])];
}

/** Of the fixture, because other cases make and remove containers at the same time. */
async function lists(world: SocketWorld, args: readonly string[], expected: Names): Promise<void> {
  const listed = await world.docker.text([...args, ...ofFixture, ...names]);
  assert.deepEqual(sortedLines(listed), expected(world).toSorted());
}

async function filtersById(world: SocketWorld): Promise<void> {
  const id = await world.node.docker(['inspect', '--format', '{{.Id}}', world.box]);
  await lists(world, ps(`id=${id.slice(0, 12)}`), own);
}

interface Made {
  readonly name: string;
  readonly seconds: number;
}

/** All of the fixture, as the engines date them. */
async function madeAt(nodes: readonly LabNode[]): Promise<readonly Made[]> {
  const perNode = nodes.map(async (node) => {
    const format = '{{.Created}} {{.Name}}';
    const inspected = await node.docker(['inspect', '--format', format, boxOf(node), doneOf(node)]);
    return sortedLines(inspected).map((line): Made => {
      const [date = '', name = ''] = line.split(' ');
      return { name: name.slice(1), seconds: Math.floor(Date.parse(date) / 1_000) };
    });
  });
  return (await Promise.all(perNode)).flat();
}

/** Lists carry whole seconds: what was made in the second of the mark may be on either side, but for the mark itself. */
async function filtersByTime({ docker, nodes, box }: SocketWorld, filter: 'before' | 'since'): Promise<void> {
  const made = await madeAt(nodes);
  const mark = made.find(({ name }) => name === box);
  assert.ok(mark);
  const listed = sortedLines(await docker.text([...ps(`${filter}=${box}`), ...ofFixture, ...names]));
  const sign = filter === 'before' ? 1 : -1;
  for (const { name, seconds } of made) {
    const distance = sign * (mark.seconds - seconds);
    if (name === box || distance < 0) assert.ok(!listed.includes(name), `${name} is listed`);
    else if (distance > 0) assert.ok(listed.includes(name), `${name} is missing`);
  }
}

async function listsNewest(
  { docker, nodes }: SocketWorld,
  flags: readonly string[],
  count: number,
): Promise<void> {
  const secondsOf = new Map((await madeAt(nodes)).map(({ name, seconds }) => [name, seconds]));
  const newest = [...secondsOf.values()].toSorted((a, b) => b - a).slice(0, count);
  const listed = (await docker.text(['ps', ...flags, ...ofFixture, ...names])).split('\n');
  assert.deepEqual(
    listed.map((name) => secondsOf.get(name)),
    newest,
  );
}

async function tellsSizes({ docker, box }: SocketWorld): Promise<void> {
  const listed = await docker.text(['ps', '--size', '--filter', `name=^${box}$`, '--format', '{{.Size}}']);
  assert.match(listed, /^\d[\d.]*k?M?B \(virtual [\d.]+\wB\)$/);
}

async function printsIds({ docker, binary, nodes }: SocketWorld): Promise<void> {
  const args = [...all, '--quiet', '--no-trunc', ...ofFixture];
  const engines = await Promise.all(nodes.map((node) => node.docker(args, { cli: binary })));
  assert.deepEqual(sortedLines(await docker.text(args)), engines.flatMap(sortedLines).toSorted());
}

async function tellsNode({ docker, nodes }: SocketWorld): Promise<void> {
  const format = ['--format', '{{.Names}} {{.Label "flotilla.node"}}'];
  const expected = nodes.map((node) => `${boxOf(node)} ${node.name}`).toSorted();
  assert.deepEqual(sortedLines(await docker.text(['ps', ...ofFixture, ...format])), expected);
}

async function listsImages({ docker, nodes }: SocketWorld): Promise<void> {
  const listed = await docker.text([
    'images',
    '--no-trunc',
    '--format',
    '{{.ID}} {{.Repository}}:{{.Tag}}',
    'fixture',
  ]);
  const engines = nodes.map(async (node) => {
    const id = await node.docker(['image', 'inspect', '--format', '{{.Id}}', imageOf(node)]);
    return `${id.trim()} ${imageOf(node)}`;
  });
  assert.deepEqual(sortedLines(listed), (await Promise.all(engines)).toSorted());
}

async function filtersImages({ docker, node, nodes }: SocketWorld): Promise<void> {
  const list = ['images', '--filter', 'reference=fixture:*', '--format', '{{.Repository}}:{{.Tag}}'];
  assert.deepEqual(sortedLines(await docker.text(list)), nodes.map(imageOf).toSorted());
  assert.equal(await docker.text([...list, '--filter', `node=${node.name}`]), imageOf(node));
}

async function listsVolumes({ docker, node, nodes }: SocketWorld): Promise<void> {
  const list = ['volume', 'ls', '--quiet', ...ofFixture];
  assert.deepEqual(sortedLines(await docker.text(list)), nodes.map(volumeOf).toSorted());
  assert.equal(await docker.text([...list, '--filter', `name=${volumeOf(node)}`]), volumeOf(node));
  assert.equal(await docker.text([...list, '--filter', `node=${node.name}`]), volumeOf(node));
  assert.equal(await docker.text([...list, '--filter', 'dangling=true']), '');
}

async function listsNetworks({ docker, binary, node, nodes }: SocketWorld): Promise<void> {
  const list = ['network', 'ls', '--format', '{{.Name}}'];
  assert.deepEqual(sortedLines(await docker.text([...list, ...ofFixture])), nodes.map(networkOf).toSorted());
  assert.equal(await docker.text([...list, '--filter', `name=${networkOf(node)}`]), networkOf(node));
  assert.equal(await docker.text([...list, '--filter', 'name=ingress']), 'ingress', 'ingress is one for all');
  const bridges = ['network', 'ls', '--quiet', '--no-trunc', '--filter', 'name=^bridge$'];
  const engines = await Promise.all(nodes.map((each) => each.docker(bridges, { cli: binary })));
  assert.deepEqual(sortedLines(await docker.text(bridges)), engines.flatMap(sortedLines).toSorted());
}
