// What a docker CLI does on the cluster socket with the images of another node, one case a line. An image that several
// nodes have is read from any of them, and never changed without a word about which.

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';
import { failsAsOnOneEngine, imageOf, type SocketWorld } from '../support/socket-bench.ts';
import type { CliCase } from './cli-cases.ts';

export const socketImageCases: readonly CliCase<SocketWorld>[] = [
  { name: 'image inspect and history', check: inspects },
  { name: 'tag and rmi', check: tags },
  { name: 'save of two images', check: savesTwo },
  { name: 'save of images that no node has together is refused with who has what', check: refusesToSave },
  { name: 'export and import', check: imports },
  { name: 'commit makes the image where the container is', check: commits },
  {
    name: 'rmi of an image of several nodes is refused with both, until one is named',
    check: refusesToRemove,
  },
  { name: "run of an image that only another node has is the engine's own error", check: failsToRun },
  { name: 'pull and push say what the engine says', check: failsToReachRegistry },
  { name: "a name of nothing is refused in the engine's words", check: refusesUnknown },
];

async function idOn(node: LabNode, image: string): Promise<string> {
  return (await node.docker(['image', 'inspect', '--format', '{{.Id}}', image])).trim();
}

async function isGone(node: LabNode, image: string): Promise<void> {
  assert.equal(await node.docker(['images', '--quiet', image]), '', `${image} on ${node.name}`);
}

async function inspects({ docker, node }: SocketWorld): Promise<void> {
  const image = imageOf(node);
  const id = await idOn(node, image);
  for (const name of [image, id, id.slice(0, 'sha256:'.length + 12), `${node.name}/${image}`]) {
    assert.equal(await docker.text(['image', 'inspect', '--format', '{{.Id}}', name]), id, name);
  }
  const history = ['history', '--no-trunc', '--format', '{{.ID}} {{.CreatedBy}}', image];
  assert.equal(await docker.text(history), (await node.docker(history)).trim());
}

async function tags({ docker, here, node, unique }: SocketWorld): Promise<void> {
  await docker.text(['tag', imageOf(node), unique]);
  assert.equal(await idOn(node, unique), await idOn(node, imageOf(node)));
  await isGone(here, unique);
  assert.equal(await docker.text(['rmi', unique]), `Untagged: ${unique}:latest`);
  await isGone(node, unique);
}

async function savesTwo({ docker, node, unique }: SocketWorld): Promise<void> {
  for (const name of [`${unique}:one`, `${unique}:two`]) await node.docker(['tag', busyboxImage, name]);
  const { code, stdout, stderr } = await docker.run(['save', `${unique}:one`, `${unique}:two`]);
  assert.equal(code, 0, stderr);
  for (const part of ['manifest.json', `"${unique}:one"`, `"${unique}:two"`])
    assert.ok(stdout.includes(part), part);
}

async function refusesToSave({ docker, here, node, folder }: SocketWorld): Promise<void> {
  const file = ['--output', join(folder, 'saved.tar')];
  const { code, stderr } = await docker.run(['save', ...file, imageOf(here), imageOf(node)]);
  assert.equal(code, 1);
  for (const each of [here, node]) assert.ok(stderr.includes(`${imageOf(each)} on ${each.name}`), stderr);
}

async function imports({ docker, here, box, unique, folder }: SocketWorld): Promise<void> {
  const file = join(folder, 'box.tar');
  await docker.text(['export', '--output', file, box]);
  const id = await docker.text(['import', '--message', unique, file, unique]);
  assert.equal(await idOn(here, unique), id);
}

async function commits({ docker, here, node, box, unique }: SocketWorld): Promise<void> {
  const id = await docker.text(['commit', '--message', 'why', '--change', `LABEL by=${unique}`, box, unique]);
  assert.equal(await idOn(node, unique), id);
  await isGone(here, unique);
  const label = ['image', 'inspect', '--format', '{{.Config.Labels.by}} {{.Comment}}', unique];
  assert.equal(await docker.text(label), `${unique} why`);
}

async function refusesToRemove({ docker, targeting, here, node, unique }: SocketWorld): Promise<void> {
  const holders = [here, node];
  for (const each of holders) await each.docker(['tag', busyboxImage, unique]);
  const { code, stderr } = await docker.run(['rmi', unique]);
  assert.equal(code, 1);
  for (const each of holders) {
    assert.ok(stderr.includes(`${each.name}/${unique}`), stderr);
    await idOn(each, unique);
  }
  assert.ok((await docker.run(['image', 'inspect', unique])).code === 0, 'it may be read');
  await docker.text(['rmi', `${node.name}/${unique}`]);
  await isGone(node, unique);
  await idOn(here, unique);
  await node.docker(['tag', busyboxImage, unique]);
  await targeting(node.name).text(['rmi', unique]);
  await isGone(node, unique);
  await idOn(here, unique);
}

async function failsToRun({ docker, here, node, unique }: SocketWorld): Promise<void> {
  await node.docker(['tag', busyboxImage, unique]);
  const { code, stderr } = await docker.run(['run', '--pull', 'never', unique, 'true']);
  assert.equal(code, 125);
  assert.match(stderr, new RegExp(`No such image: ${unique}`));
  await isGone(here, unique);
}

async function failsToReachRegistry({ docker, node, unique }: SocketWorld): Promise<void> {
  // Nothing listens there, on no node.
  const name = `localhost:1/${unique}`;
  await node.docker(['tag', busyboxImage, name]);
  for (const act of ['pull', 'push']) {
    const { code, stderr } = await docker.run([act, name]);
    assert.equal(code, 1);
    assert.match(stderr, /connection refused/, act);
  }
}

async function refusesUnknown(world: SocketWorld): Promise<void> {
  const { docker, unique } = world;
  const commands = [
    ['rmi', unique],
    ['history', unique],
    ['image', 'inspect', unique],
    ['tag', unique, 'new'],
    ['save', unique],
  ];
  for (const command of commands) await failsAsOnOneEngine(world, command);
  assert.equal(await docker.text(['images', '--quiet', unique]), '');
}
