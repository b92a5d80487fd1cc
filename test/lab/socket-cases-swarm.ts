// What a docker CLI does with the Swarm on the cluster socket of any node, a worker's too, one case a line: the managers
// do it, and lists of networks have each of the Swarm's once.

import assert from 'node:assert/strict';

import type { SocketWorld } from '../support/socket-bench.ts';
import { type CliCase, deploysStack, managerCases, sortedLines } from './cli-cases.ts';

export const socketSwarmCases: readonly CliCase<SocketWorld>[] = [
  ...managerCases.filter(({ name }) => name.startsWith('service ')),
  {
    name: 'stack deploy, ps and rm, on all nodes and with its network',
    check: (w) => deploysStack(w, 'node.platform.os == linux', 3),
  },
];

/** They are done at once. */
export const socketManagerCases: readonly CliCase<SocketWorld>[] = [
  { name: 'secret create, ls, inspect and rm', check: (w) => keeps(w, 'secret') },
  { name: 'config create, ls, inspect and rm', check: (w) => keeps(w, 'config') },
  { name: 'node ls', check: listsNodes },
  { name: 'node inspect, update and ps', check: inspectsNode },
  { name: 'swarm join-token', check: tellsToken },
  { name: "names of nothing are refused in a manager's words", check: refusesUnknown },
];

async function keeps({ docker, manager, unique }: SocketWorld, kind: 'secret' | 'config'): Promise<void> {
  const id = await docker.text([kind, 'create', '--label', 'by=test', unique, '-'], {
    input: `of ${unique}`,
  });
  assert.equal((await manager.docker([kind, 'inspect', '--format', '{{.ID}}', unique])).trim(), id);
  const list = [kind, 'ls', '--format', '{{.ID}} {{.Name}}', '--filter', `name=${unique}`];
  assert.equal(await docker.text(list), `${id} ${unique}`);
  assert.equal(await docker.text([kind, 'inspect', '--format', '{{.Spec.Labels.by}}', id]), 'test');
  assert.equal(await docker.text([kind, 'rm', unique]), unique);
  assert.equal(await manager.docker([kind, 'ls', '--quiet', '--filter', `name=${unique}`]), '');
}

async function listsNodes({ docker, nodes }: SocketWorld): Promise<void> {
  const listed = await docker.text([
    'node',
    'ls',
    '--format',
    '{{.Hostname}} {{.Status}} {{.ManagerStatus}}',
  ]);
  const expected = nodes.map(({ name }, at) => `${name} Ready ${at === 0 ? 'Leader' : ''}`.trim());
  assert.deepEqual(
    sortedLines(listed).map((line) => line.trim()),
    expected,
  );
}

async function inspectsNode({ docker, manager, node, unique }: SocketWorld): Promise<void> {
  const inspect = ['node', 'inspect', '--format', '{{.Description.Hostname}} {{.Status.Addr}}', node.name];
  assert.equal(await docker.text(inspect), (await manager.docker(inspect)).trim());
  await docker.text(['node', 'update', '--label-add', `by=${unique}`, node.name]);
  const label = ['node', 'inspect', '--format', '{{.Spec.Labels.by}}', node.name];
  assert.equal((await manager.docker(label)).trim(), unique);
  await docker.text(['node', 'ps', node.name]);
}

async function tellsToken({ docker, manager }: SocketWorld): Promise<void> {
  const token = ['swarm', 'join-token', '--quiet', 'worker'];
  assert.equal(await docker.text(token), (await manager.docker(token)).trim());
}

async function refusesUnknown({ docker, unique }: SocketWorld): Promise<void> {
  for (const kind of ['service', 'secret', 'config', 'node']) {
    const { code, stderr } = await docker.run([kind, 'inspect', unique]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`no such ${kind}: ${unique}|${kind} ${unique} not found`, 'i'));
  }
}
