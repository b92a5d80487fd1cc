// What a docker CLI does on the cluster socket with volumes and networks of another node, and with networks that all nodes
// share, one case a line.

import assert from 'node:assert/strict';

import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { failsAsOnOneEngine, networkOf, type SocketWorld, volumeOf } from '../support/socket-bench.ts';
import { type CliCase, sleep, sortedLines, swarmWithinMs } from './cli-cases.ts';

export const socketVolumeCases: readonly CliCase<SocketWorld>[] = [
  { name: 'volume create, inspect and rm', check: makesVolume },
  { name: 'volume create on another node, by its label', check: placesVolume },
  { name: 'volume rm of a volume in use is refused by its engine', check: refusesVolumeInUse },
  { name: 'volume rm of a name of two nodes is refused with both, until one is named', check: refusesVolume },
];

export const socketNetworkCases: readonly CliCase<SocketWorld>[] = [
  { name: 'network create, inspect, connect, disconnect and rm', check: connects },
  {
    name: 'network rm of a name of two nodes is refused with both, until one is named',
    check: refusesNetwork,
  },
  { name: 'network inspect of a name that each engine has is refused with all', check: refusesBridge },
  { name: "names of nothing are refused in the engine's words", check: refusesUnknown },
];

/** Those wait for the Swarm. */
export const socketOverlayCases: readonly CliCase<SocketWorld>[] = [
  { name: 'an overlay network spans the nodes, is listed once and tells all its containers', check: spans },
];

async function namesOn(node: LabNode, kind: 'volume' | 'network', name: string): Promise<readonly string[]> {
  const listed = await node.docker([kind, 'ls', '--format', '{{.Name}}', '--filter', `name=${name}`]);
  return sortedLines(listed);
}

async function makesVolume({ docker, here, node, unique }: SocketWorld): Promise<void> {
  assert.equal(await docker.text(['volume', 'create', unique]), unique);
  assert.deepEqual(await namesOn(here, 'volume', unique), [unique]);
  assert.deepEqual(await namesOn(node, 'volume', unique), []);
  assert.equal(await docker.text(['volume', 'inspect', '--format', '{{.Name}}', unique]), unique);
  assert.equal(await docker.text(['volume', 'rm', unique]), unique);
  assert.deepEqual(await namesOn(here, 'volume', unique), []);
}

async function placesVolume({ docker, here, node, place, unique }: SocketWorld): Promise<void> {
  assert.equal(await docker.text(['volume', 'create', ...place, unique]), unique);
  assert.deepEqual(await namesOn(node, 'volume', unique), [unique]);
  assert.deepEqual(await namesOn(here, 'volume', unique), []);
  const script = ['sh', '-c', `echo ${unique} >/data/file`];
  await docker.text(['run', '--rm', ...place, '--volume', `${unique}:/data`, busyboxImage, ...script]);
  const read = ['run', '--rm', '--volume', `${unique}:/data`, busyboxImage, 'cat', '/data/file'];
  assert.equal((await node.docker(read)).trim(), unique);
  assert.equal(await docker.text(['volume', 'rm', unique]), unique);
  assert.deepEqual(await namesOn(node, 'volume', unique), []);
}

async function refusesVolumeInUse({ docker, node }: SocketWorld): Promise<void> {
  const { code, stderr } = await docker.run(['volume', 'rm', volumeOf(node)]);
  assert.equal(code, 1);
  assert.match(stderr, /volume is in use/);
}

async function refusesVolume({ docker, here, node, unique }: SocketWorld): Promise<void> {
  for (const each of [here, node]) await each.docker(['volume', 'create', unique]);
  await isRefused(
    docker,
    ['volume', 'rm', unique],
    [here, node].map(({ name }) => `${name}/${unique}`),
  );
  await docker.text(['volume', 'rm', `${node.name}/${unique}`]);
  assert.deepEqual(await namesOn(node, 'volume', unique), []);
  assert.deepEqual(await namesOn(here, 'volume', unique), [unique]);
  assert.equal(await docker.text(['volume', 'rm', unique]), unique);
}

async function isRefused(
  docker: SocketWorld['docker'],
  command: readonly string[],
  candidates: readonly string[],
): Promise<void> {
  const { code, stderr } = await docker.run(command);
  assert.equal(code, 1);
  for (const candidate of candidates) assert.ok(stderr.includes(candidate), `${candidate} in: ${stderr}`);
}

async function connects({ docker, node, place, unique }: SocketWorld): Promise<void> {
  await docker.text(['network', 'create', ...place, unique]);
  assert.deepEqual(await namesOn(node, 'network', unique), [unique]);
  await node.docker(['run', '-d', '--name', unique, busyboxImage, ...sleep]);
  const networks = (): Promise<string> =>
    node.docker([
      'inspect',
      '--format',
      '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}',
      unique,
    ]);
  await docker.text(['network', 'connect', '--alias', 'another', unique, unique]);
  assert.equal((await networks()).trim(), `bridge ${unique}`);
  const attached = ['network', 'inspect', '--format', '{{range .Containers}}{{.Name}} {{end}}', unique];
  assert.equal(await docker.text(attached), unique);
  await docker.text(['network', 'connect', networkOf(node), unique]);
  await docker.text(['network', 'disconnect', networkOf(node), unique]);
  await docker.text(['network', 'disconnect', unique, unique]);
  assert.equal((await networks()).trim(), 'bridge');
  assert.equal(await docker.text(['network', 'rm', unique]), unique);
  assert.deepEqual(await namesOn(node, 'network', unique), []);
  await node.docker(['rm', '--force', unique]);
}

async function refusesNetwork({ docker, here, node, unique }: SocketWorld): Promise<void> {
  for (const each of [here, node]) await each.docker(['network', 'create', unique]);
  await isRefused(
    docker,
    ['network', 'rm', unique],
    [here, node].map(({ name }) => `${name}/${unique}`),
  );
  await docker.text(['network', 'rm', `${node.name}/${unique}`]);
  assert.deepEqual(await namesOn(node, 'network', unique), []);
  assert.deepEqual(await namesOn(here, 'network', unique), [unique]);
  assert.equal(await docker.text(['network', 'rm', unique]), unique);
}

async function refusesBridge({ docker, node, nodes }: SocketWorld): Promise<void> {
  await isRefused(
    docker,
    ['network', 'inspect', 'bridge'],
    nodes.map(({ name }) => `${name}/bridge`),
  );
  const id = ['network', 'inspect', '--format', '{{.Id}}'];
  assert.equal(
    await docker.text([...id, `${node.name}/bridge`]),
    (await node.docker([...id, 'bridge'])).trim(),
  );
}

async function refusesUnknown(world: SocketWorld): Promise<void> {
  for (const kind of ['volume', 'network']) {
    for (const act of ['inspect', 'rm']) await failsAsOnOneEngine(world, [kind, act, world.unique]);
  }
  await failsAsOnOneEngine(world, ['network', 'connect', world.unique, world.unique]);
}

async function spans({ docker, here, node, manager, nodes, place, unique }: SocketWorld): Promise<void> {
  await docker.text(['network', 'create', '--driver', 'overlay', '--attachable', unique]);
  assert.deepEqual(await namesOn(manager, 'network', unique), [unique]);
  const [near, far] = [`${unique}-near`, `${unique}-far`];
  await docker.text(['run', '-d', '--name', near, '--network', unique, busyboxImage, ...sleep]);
  await docker.text(['run', '-d', '--name', far, ...place, busyboxImage, ...sleep]);
  // Its node may never have heard of the network.
  await docker.text(['network', 'connect', unique, far]);
  const list = ['network', 'ls', '--format', '{{.Name}} {{.Scope}}', '--filter', `name=${unique}`];
  assert.equal(await docker.text(list), `${unique} swarm`);
  const inspect = ['network', 'inspect', '--format', '{{range .Containers}}{{.Name}},{{end}}', unique];
  const told = (await docker.text(inspect)).split(',');
  for (const name of [near, far]) assert.ok(told.includes(name), `${name} in ${told.join()}`);
  for (const each of [here, node]) assert.deepEqual(await namesOn(each, 'network', unique), [unique]);
  await eventually(() => docker.text(['exec', far, 'ping', '-c', '1', '-w', '2', near]), {
    withinMs: swarmWithinMs,
    everyMs: 300,
  });
  await docker.text(['network', 'disconnect', unique, far]);
  await docker.text(['rm', '--force', near, far]);
  await eventually(
    async () => {
      // Until the Swarm has let go of the containers it says that they use it.
      await docker.run(['network', 'rm', unique]);
      for (const each of nodes) assert.deepEqual(await namesOn(each, 'network', unique), []);
    },
    { withinMs: swarmWithinMs, everyMs: 300 },
  );
}
