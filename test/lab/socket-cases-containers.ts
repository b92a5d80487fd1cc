// What a docker CLI does on the cluster socket with the containers of another node, one case a line. The engines
// themselves are asked what became of it.

import assert from 'node:assert/strict';

import { boxOf } from '../support/cli-bench.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import {
  failsAsOnOneEngine,
  imageOf,
  networkOf,
  publishedPort,
  type SocketWorld,
} from '../support/socket-bench.ts';
import { type CliCase, said, sleep } from './cli-cases.ts';

export const socketContainerCases: readonly CliCase<SocketWorld>[] = [
  { name: 'inspect finds an id, its beginning, a name and node/name', check: findsByAnyName },
  { name: 'inspect without a type finds an image and a network', check: inspectsAnything },
  { name: 'logs --tail and --since', check: cutsLogs },
  { name: 'top', check: (w) => says(w, ['top', w.box], /sleep 100000/) },
  {
    name: 'port',
    check: (w) => says(w, ['port', w.box], new RegExp(`^80/tcp -> 0.0.0.0:${publishedPort}$`, 'm')),
  },
  { name: 'diff', check: diffs },
  { name: 'export', check: exports },
  { name: 'cp of what is not there is refused by its engine', check: failsToCopy },
  { name: 'stats of one', check: (w) => says(w, [...stats, '--no-stream', w.box], new RegExp(`^${w.box}$`)) },
  { name: 'stats of all', check: statsOfAll },
  { name: 'stats again and again', check: streamsStats },
  { name: 'create, rename, update and rm', check: renames },
  { name: 'start, restart and stop', check: restarts },
  { name: 'pause, unpause, kill and rm -f', check: pauses },
  { name: 'rm of several containers on several nodes', check: removesEverywhere },
  { name: 'exec -d', check: execsDetached },
  { name: 'run without a word is local', check: runsHere },
  { name: 'run on a node that does not exist is refused', check: refusesNode },
  { name: "run tells the engine's own error", check: failsToRun },
  { name: 'a name that two nodes use is refused with both, until one is named', check: refusesAmbiguous },
  { name: "a name of nothing is refused in the engine's words", check: refusesUnknown },
];

const stats = ['stats', '--format', '{{.Name}}'];

async function says({ docker }: SocketWorld, args: readonly string[], pattern: RegExp): Promise<void> {
  assert.match(await docker.text(args), pattern);
}

/** What the engine of that node says of a container. */
async function look(node: LabNode, container: string, format: string): Promise<string> {
  return (await node.docker(['container', 'inspect', '--format', format, container])).trim();
}

async function findsByAnyName({ docker, node, box }: SocketWorld): Promise<void> {
  const id = await look(node, box, '{{.Id}}');
  for (const name of [id, id.slice(0, 12), box, `${node.name}/${box}`, `${node.name}/${id.slice(0, 12)}`]) {
    assert.equal(await docker.text(['inspect', '--format', '{{.Id}}', name]), id, name);
  }
}

async function inspectsAnything({ docker, node }: SocketWorld): Promise<void> {
  const [image, network] = [imageOf(node), networkOf(node)];
  const tags = await docker.text(['inspect', '--format', '{{.RepoTags}}', image]);
  assert.ok(tags.includes(image), tags);
  assert.equal(await docker.text(['inspect', '--format', '{{.Name}}', network]), network);
}

async function cutsLogs({ docker, node, box }: SocketWorld): Promise<void> {
  // Not its start, which is dated after the first words.
  const since = await look(node, box, '{{.Created}}');
  const cut = await docker.run(['logs', '--since', since, '--until', since, box]);
  assert.deepEqual({ ...cut, stdout: cut.stdout.toString() }, said(0, '', ''));
  const whole = await docker.run(['logs', '--since', since, '--timestamps', box]);
  assert.match(whole.stderr, /^\d{4}-\d\d-\d\dT\S+ err$/m);
  const tail = await docker.run(['logs', '--tail', '0', box]);
  assert.equal(tail.stdout.toString(), '');
}

async function diffs({ docker, node, box, unique }: SocketWorld): Promise<void> {
  await node.docker(['exec', box, 'touch', `/tmp/${unique}`]);
  assert.match(await docker.text(['diff', box]), new RegExp(`^A /tmp/${unique}$`, 'm'));
}

async function exports({ docker, node, box, unique }: SocketWorld): Promise<void> {
  await node.docker(['exec', box, 'sh', '-c', `echo content-of-${unique} >/tmp/${unique}`]);
  const { code, stdout } = await docker.run(['export', box]);
  assert.equal(code, 0);
  for (const part of ['bin/busybox', `tmp/${unique}`, `content-of-${unique}\n`])
    assert.ok(stdout.includes(part), part);
}

async function failsToCopy({ docker, box, folder }: SocketWorld): Promise<void> {
  const { code, stderr } = await docker.run(['cp', `${box}:/nothing`, folder]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /(?:No such container:path: |Could not find the file \/nothing in container )box-node-\d/,
  );
}

async function statsOfAll({ docker, nodes }: SocketWorld): Promise<void> {
  const lines = (await docker.text([...stats, '--no-stream'])).split('\n');
  for (const node of nodes) assert.ok(lines.includes(boxOf(node)), `${boxOf(node)} in ${lines.join(', ')}`);
}

async function streamsStats({ docker, box }: SocketWorld): Promise<void> {
  await using streaming = docker.start(['stats', '--format', '{{.Name}} {{.MemUsage}}', box]);
  // The first line comes before there are figures.
  await streaming.says(new RegExp(`(?:${box} [1-9][\\d.]*\\w+ / [\\s\\S]*){2}`));
}

async function renames({ docker, node, place, unique }: SocketWorld): Promise<void> {
  const id = await docker.text(['create', ...place, '--name', unique, busyboxImage, ...sleep]);
  assert.equal(await look(node, unique, '{{.Id}}'), id);
  await docker.text(['rename', unique, `${unique}-new`]);
  assert.equal(await look(node, `${unique}-new`, '{{.Id}}'), id);
  await docker.text(['update', '--cpu-shares', '77', `${unique}-new`]);
  assert.equal(await look(node, id, '{{.HostConfig.CpuShares}}'), '77');
  // At once, and by the old name: it means nothing now.
  assert.equal((await docker.run(['rm', unique])).code, 1);
  assert.equal(await docker.text(['rm', `${unique}-new`]), `${unique}-new`);
  await assert.rejects(look(node, id, '{{.Id}}'), /No such container/);
}

async function restarts({ docker, node, unique }: SocketWorld): Promise<void> {
  const script = 'trap "exit 7" TERM; echo up; while :; do sleep 1 & wait $!; done';
  await node.docker(['create', '--name', unique, busyboxImage, 'sh', '-c', script]);
  assert.equal(await docker.text(['start', unique]), unique);
  await eventually(async () => assert.equal(await node.docker(['logs', unique]), 'up\n'));
  const startedAt = await look(node, unique, '{{.State.StartedAt}}');
  assert.equal(await docker.text(['restart', unique]), unique);
  assert.notEqual(await look(node, unique, '{{.State.StartedAt}}'), startedAt);
  await eventually(async () => assert.equal(await node.docker(['logs', unique]), 'up\nup\n'));
  assert.equal(await docker.text(['stop', unique]), unique);
  assert.equal(await look(node, unique, '{{.State.Status}} {{.State.ExitCode}}'), 'exited 7');
}

async function pauses({ docker, node, unique }: SocketWorld): Promise<void> {
  await node.docker(['run', '-d', '--name', unique, busyboxImage, ...sleep]);
  const status = (): Promise<string> => look(node, unique, '{{.State.Status}}');
  assert.equal(await docker.text(['pause', unique]), unique);
  assert.equal(await status(), 'paused');
  assert.equal(await docker.text(['unpause', unique]), unique);
  assert.equal(await status(), 'running');
  assert.equal(await docker.text(['kill', '--signal', 'KILL', unique]), unique);
  await eventually(async () => assert.equal(await look(node, unique, '{{.State.ExitCode}}'), '137'));
  await node.docker(['start', unique]);
  assert.equal(await docker.text(['rm', '--force', unique]), unique);
  await assert.rejects(status(), /No such container/);
}

async function removesEverywhere({ docker, nodes, unique }: SocketWorld): Promise<void> {
  const names = nodes.map(({ name }) => `${unique}-${name}`);
  await Promise.all(
    nodes.map((node) => node.docker(['create', '--name', `${unique}-${node.name}`, busyboxImage])),
  );
  assert.deepEqual((await docker.text(['rm', ...names])).split('\n'), names);
  const left = await Promise.all(
    nodes.map((node) => node.docker(['ps', '-aq', '--filter', `name=${unique}`])),
  );
  assert.equal(left.join(''), '');
}

async function execsDetached({ docker, node, box, unique }: SocketWorld): Promise<void> {
  assert.equal(await docker.text(['exec', '-d', box, 'touch', `/tmp/${unique}`]), '');
  await eventually(() => node.docker(['exec', box, 'ls', `/tmp/${unique}`]));
}

async function runsHere({ docker, here, unique }: SocketWorld): Promise<void> {
  const args = ['run', '--name', unique, '--hostname', 'local', busyboxImage, 'hostname'];
  assert.equal(await docker.text(args), 'local');
  assert.equal(await look(here, unique, '{{.State.ExitCode}}'), '0');
}

async function refusesNode({ docker, unique }: SocketWorld): Promise<void> {
  const { code, stderr } = await docker.run([
    'run',
    '--label',
    `flotilla.node=${unique}`,
    busyboxImage,
    'true',
  ]);
  assert.equal(code, 125);
  assert.match(stderr, new RegExp(`no node is called "${unique}": there are node-\\d, node-\\d, node-\\d`));
}

async function failsToRun({ docker, node, place, unique }: SocketWorld): Promise<void> {
  const { code, stderr } = await docker.run(['run', ...place, '--name', unique, busyboxImage, '/nothing']);
  assert.equal(code, 127);
  assert.match(stderr, /exec: "\/nothing": stat \/nothing: no such file or directory/);
  assert.equal(await look(node, unique, '{{.State.Status}}'), 'created');
}

async function refusesAmbiguous({ docker, here, node, place, unique }: SocketWorld): Promise<void> {
  const local = (await here.docker(['create', '--name', unique, busyboxImage])).trim();
  const create = await docker.run(['create', ...place, '--name', unique, busyboxImage]);
  assert.equal(create.code, 0);
  assert.match(create.stderr, new RegExp(`${here.name} has a container of this name, too`));
  const { code, stderr } = await docker.run(['rm', unique]);
  assert.equal(code, 1);
  for (const { name } of [here, node]) assert.ok(stderr.includes(`${name}/${unique}`), stderr);
  assert.equal(await docker.text(['rm', `${node.name}/${unique}`]), `${node.name}/${unique}`);
  assert.equal(await look(here, unique, '{{.Id}}'), local);
  await assert.rejects(look(node, unique, '{{.Id}}'), /No such container/);
  assert.equal(await docker.text(['rm', unique]), unique);
}

async function refusesUnknown(world: SocketWorld): Promise<void> {
  const { unique } = world;
  const commands = [
    ['rm', unique],
    ['start', unique],
    ['stop', unique],
    ['logs', unique],
    ['top', unique],
    ['exec', unique, 'true'],
    ['rename', unique, 'new'],
    ['cp', `${unique}:/file`, '-'],
  ];
  for (const command of commands) await failsAsOnOneEngine(world, command);
}
