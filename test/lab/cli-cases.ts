// What a docker CLI must be able to do through an agent, one case a line. Each runs on the node that the CLI is
// connected to and on another one, and looks at the engines themselves for what became of it. The socket has more.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { CliWorld } from '../support/cli-bench.ts';
import { eventually } from '../support/eventually.ts';
import { busyboxImage } from '../support/lab/images.ts';
import type { LabNode } from '../support/lab/node.ts';

export interface CliCase<World = CliWorld> {
  readonly name: string;
  /** Needs a CLI that speaks BuildKit with its engine itself. */
  readonly buildKit?: true;
  readonly check: (world: World) => Promise<void>;
}

/** Each lists what all engines list. */
export const listCases: readonly CliCase[] = [
  { name: 'ps lists the containers of all nodes, each once', check: (w) => listsAll(w, ['ps', '--all']) },
  { name: 'images lists the images of all nodes', check: (w) => listsAll(w, ['images']) },
  { name: 'volume ls lists the volumes of all nodes', check: listsVolumes },
  { name: 'network ls lists the networks of all nodes', check: (w) => listsAll(w, ['network', 'ls']) },
];

/** Whatever it is that says which node is meant. */
export const workCases: readonly CliCase[] = [
  { name: 'inspect', check: inspects },
  { name: 'logs, with standard error apart', check: printsLogs },
  { name: 'logs -f delivers each line at once', check: followsLogs },
  { name: 'exec -i pipes megabytes both ways', check: execEchoes },
  { name: 'exec -i passes the end of standard input, and what is said after it', check: execHalfCloses },
  { name: 'exec returns exit codes, with standard error apart', check: execReturnsCodes },
  { name: 'exec -it is a terminal of the right size', check: (w) => isTerminal(w, ['exec', '-it', w.box]) },
  {
    name: 'run -it is a terminal of the right size',
    check: (w) => isTerminal(w, ['run', ...w.place, '--rm', '-it', '--hostname', w.node.name, busyboxImage]),
  },
  { name: 'attach talks with a container to its end', check: attaches },
  { name: 'cp copies there and back', check: copies },
  { name: 'run, again and again, with exit codes', check: runs },
  { name: 'run -i pipes megabytes in', check: runsWithInput },
  { name: 'run -d and wait', check: waits },
  { name: 'stop and rm', check: stopsAndRemoves },
  { name: 'build with the legacy builder', check: (w) => builds(w, '0') },
  { name: 'build tells why it failed, with the legacy builder', check: failsToBuild },
  { name: 'build with BuildKit', buildKit: true, check: (w) => builds(w, '1') },
  { name: 'commit, save and load', check: savesAndLoads },
  { name: 'events arrive as they happen', check: followsEvents },
  { name: 'events of a time in the past come to an end', check: listsEvents },
];

/** The same, where `node` is a manager: it is asked for everything that is not a list. */
export const managerCases: readonly CliCase[] = [
  { name: 'service create, ls, ps, logs, logs -f and rm', check: runsService },
  // Only there: `stack rm` deletes each network that is listed, and every node that uses an overlay lists it.
  { name: 'stack deploy, ps and rm', check: (w) => deploysStack(w, 'node.role == manager', 1) },
];

/** With the manager header on every request nothing is merged, and a stack may be anywhere. */
export const portainerCases: readonly CliCase[] = [
  {
    name: 'stack deploy, service ls, stack rm',
    check: (w) => deploysStack(w, 'node.platform.os == linux', 3),
  },
];

/** The Swarm takes some ten seconds to start a task and five to remove one, and several times that when it has no time. */
export const swarmWithinMs = 45_000;
export const sleep: readonly string[] = ['sleep', '1000'];

/** Quiet lists of whole ids, compared with what every engine says by itself. */
async function listsAll({ docker, binary, nodes }: CliWorld, list: readonly string[]): Promise<void> {
  const args = [...list, '--quiet', '--no-trunc'];
  const engines = await Promise.all(nodes.map((node) => node.docker(args, { cli: binary })));
  assert.deepEqual(sortedLines(await docker.text(args)), engines.flatMap(sortedLines).toSorted());
}

async function listsVolumes({ docker, node, nodes, unique }: CliWorld): Promise<void> {
  assert.equal(await docker.text(['volume', 'create', unique]), unique);
  assert.equal((await node.docker(['volume', 'inspect', '-f', '{{.Name}}', unique])).trim(), unique);
  const engines = await Promise.all(nodes.map((each) => each.docker(['volume', 'ls', '-q'])));
  assert.deepEqual(
    sortedLines(await docker.text(['volume', 'ls', '-q'])),
    engines.flatMap(sortedLines).toSorted(),
  );
}

async function inspects({ docker, node, box, unique }: CliWorld): Promise<void> {
  assert.equal(await docker.text(['inspect', '-f', '{{.Config.Hostname}}', box]), node.name);
  const missing = await docker.run(['container', 'inspect', unique]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, new RegExp(`No such container: ${unique}`));
}

async function printsLogs({ docker, box }: CliWorld): Promise<void> {
  const { code, stdout, stderr } = await docker.run(['logs', '--tail', 'all', box]);
  assert.equal(code, 0);
  assert.match(stdout.toString(), /^out$/m);
  assert.doesNotMatch(stdout.toString(), /^err$/m);
  assert.equal(stderr, 'err\n');
}

async function followsLogs({ docker, node, box, unique }: CliWorld): Promise<void> {
  await using logs = docker.start(['logs', '--follow', box]);
  await logs.says(/^out$/m);
  for (const line of [`${unique}-1`, `${unique}-2`, `${unique}-3`]) {
    await node.docker(['exec', box, 'sh', '-c', `echo ${line} >/proc/1/fd/1`]);
    await logs.says(new RegExp(`^${line}$`, 'm'));
  }
}

async function execEchoes({ docker, box, blob }: CliWorld): Promise<void> {
  const { code, stdout, stderr } = await docker.run(['exec', '-i', box, 'cat'], { input: blob });
  assert.equal(`${code} ${stderr}`, '0 ');
  assert.equal(sha256(stdout), sha256(blob));
}

async function execHalfCloses({ docker, box, blob }: CliWorld): Promise<void> {
  const script = 'sha256sum; sleep 1; echo late; exit 5';
  const { code, stdout } = await docker.run(['exec', '-i', box, 'sh', '-c', script], { input: blob });
  assert.equal(code, 5);
  assert.equal(stdout.toString(), `${sha256(blob)}  -\nlate\n`);
}

async function execReturnsCodes({ docker, node, box }: CliWorld): Promise<void> {
  const script = 'hostname; echo oops >&2; exit 42';
  const result = await docker.run(['exec', box, 'sh', '-c', script]);
  assert.deepEqual({ ...result, stdout: result.stdout.toString() }, said(42, `${node.name}\n`, 'oops\n'));
}

async function isTerminal({ docker, node }: CliWorld, command: readonly string[]): Promise<void> {
  await using terminal = docker.startInTerminal([...command, 'sh'], { rows: 31, columns: 97 });
  await terminal.says(/# /);
  // The CLI tells the size in a request of its own, after the start.
  terminal.stdin.write('until [ "$(stty size)" = "31 97" ]; do sleep 1; done; tty\n');
  await terminal.says(/\/dev\/pts\/\d/);
  terminal.stdin.write('echo $((6*7))-$(hostname); exit 7\n');
  const { code, stdout } = await terminal.ended;
  assert.match(stdout.toString(), new RegExp(`^42-${node.name}\r$`, 'm'));
  assert.equal(code, 7);
}

async function attaches({ docker, place, unique }: CliWorld): Promise<void> {
  const script = 'while read -r line; do echo "got $line"; done; echo end >&2; exit 5';
  await docker.text(['create', ...place, '-i', '--name', unique, busyboxImage, 'sh', '-c', script]);
  await docker.text(['start', unique]);
  await using attached = docker.start(['attach', unique]);
  for (const word of ['one', 'two']) {
    attached.stdin.write(`${word}\n`);
    await attached.says(new RegExp(`^got ${word}$`, 'm'));
  }
  attached.stdin.end();
  const result = await attached.ended;
  assert.deepEqual({ ...result, stdout: result.stdout.toString() }, said(5, 'got one\ngot two\n', 'end\n'));
}

async function copies({ docker, node, box, unique, folder, blob }: CliWorld): Promise<void> {
  const [there, back] = [join(folder, 'there'), join(folder, 'back')];
  writeFileSync(there, blob);
  assert.equal((await docker.run(['cp', there, `${box}:/tmp/${unique}`])).code, 0);
  assert.match(await node.docker(['exec', box, 'sha256sum', `/tmp/${unique}`]), new RegExp(sha256(blob)));
  assert.equal((await docker.run(['cp', `${box}:/tmp/${unique}`, back])).code, 0);
  assert.equal(sha256(readFileSync(back)), sha256(blob));
}

async function runs({ docker, node, place, unique }: CliWorld): Promise<void> {
  for (const code of [0, 9, 3]) {
    const script = `hostname; echo oops >&2; exit ${code}`;
    const options = [...place, '--rm', '--name', unique, '--hostname', `on-${node.name}`];
    const result = await docker.run(['run', ...options, busyboxImage, 'sh', '-c', script]);
    assert.deepEqual(
      { ...result, stdout: result.stdout.toString() },
      said(code, `on-${node.name}\n`, 'oops\n'),
    );
  }
}

async function runsWithInput({ docker, place, blob }: CliWorld): Promise<void> {
  const result = await docker.run(['run', ...place, '--rm', '-i', busyboxImage, 'sha256sum'], {
    input: blob,
  });
  assert.deepEqual({ ...result, stdout: result.stdout.toString() }, said(0, `${sha256(blob)}  -\n`, ''));
}

async function waits({ docker, node, place, unique }: CliWorld): Promise<void> {
  const script = 'until [ -e /go ]; do sleep 0.1; done; exit 4';
  const id = await docker.text(['run', ...place, '-d', '--name', unique, busyboxImage, 'sh', '-c', script]);
  assert.equal((await node.docker(['inspect', '-f', '{{.Id}}', unique])).trim(), id);
  await using waiting = docker.start(['wait', unique]);
  // The container may end before this does, which is killed then.
  await node.docker(['exec', unique, 'touch', '/go'], { allowFailure: true });
  const { code, stdout } = await waiting.ended;
  assert.equal(`${code} ${stdout}`, '0 4\n');
}

async function stopsAndRemoves({ docker, node, place, unique }: CliWorld): Promise<void> {
  const script = 'trap "exit 7" TERM; echo ready; while :; do sleep 1 & wait $!; done';
  await docker.text(['run', ...place, '-d', '--name', unique, busyboxImage, 'sh', '-c', script]);
  await eventually(async () => assert.equal(await docker.text(['logs', unique]), 'ready'));
  assert.equal(await docker.text(['stop', unique]), unique);
  assert.equal((await node.docker(['inspect', '-f', '{{.State.ExitCode}}', unique])).trim(), '7');
  assert.equal(await docker.text(['rm', unique]), unique);
  assert.equal(await node.docker(['ps', '-aq', '--filter', `name=${unique}`]), '');
}

async function builds({ docker, here, unique, folder, blob }: CliWorld, buildKit: '0' | '1'): Promise<void> {
  writeFileSync(join(folder, 'blob'), blob);
  writeFileSync(
    join(folder, 'Dockerfile'),
    `FROM ${busyboxImage}\nCOPY blob /blob\nRUN sha256sum /blob >/sum\n`,
  );
  const env = { DOCKER_BUILDKIT: buildKit };
  const { code, stderr } = await docker.run(['build', '--tag', unique, '.'], { cwd: folder, env });
  assert.equal(code, 0, stderr);
  assert.match(await here.docker(['run', '--rm', unique, 'cat', '/sum']), new RegExp(sha256(blob)));
}

async function failsToBuild({ docker, unique, folder }: CliWorld): Promise<void> {
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${busyboxImage}\nRUN exit 3 # ${unique}\n`);
  const { code, stderr } = await docker.run(['build', '.'], { cwd: folder, env: { DOCKER_BUILDKIT: '0' } });
  assert.equal(code, 3);
  assert.match(stderr, /returned a non-zero code: 3/);
}

async function savesAndLoads({ docker, node, here, box, unique, blob }: CliWorld): Promise<void> {
  await node.docker(['exec', '-i', box, 'sh', '-c', 'cat >/saved'], { input: blob });
  await docker.text(['commit', box, unique]);
  const saved = await docker.run(['save', unique]);
  assert.equal(saved.code, 0, saved.stderr);
  await docker.text(['rmi', unique]);
  assert.match(await docker.text(['load'], { input: saved.stdout }), new RegExp(`Loaded image: ${unique}`));
  assert.match(await here.docker(['run', '--rm', unique, 'sha256sum', '/saved']), new RegExp(sha256(blob)));
}

const actionOnly = ['--format', '{{.Action}}'];

async function followsEvents({ docker, node, unique }: CliWorld): Promise<void> {
  // From a moment ago, because nothing tells when the CLI has begun to listen.
  const since = String(Math.floor(Date.now() / 1_000));
  await using events = docker.start([
    'events',
    '--since',
    since,
    '--filter',
    `container=${unique}`,
    ...actionOnly,
  ]);
  const acts = [
    ['run', '-d', '--name', unique, busyboxImage, ...sleep],
    ['pause', unique],
    ['rm', '-f', unique],
  ];
  const actions = [/^start$/m, /^pause$/m, /^destroy$/m];
  for (const [index, act] of acts.entries()) {
    await node.docker(act);
    await events.says(actions[index] ?? /never/);
  }
}

async function listsEvents({ docker, node, unique }: CliWorld): Promise<void> {
  const since = String(Date.now() / 1_000);
  await node.docker(['run', '--rm', '--name', unique, busyboxImage, 'true']);
  const range = ['--since', since, '--until', String(Date.now() / 1_000)];
  const listed = await docker.text(['events', ...range, '--filter', `container=${unique}`, ...actionOnly]);
  for (const action of ['create', 'start', 'die']) assert.match(listed, new RegExp(`^${action}$`, 'm'));
}

async function runsService({ docker, nodes, unique }: CliWorld): Promise<void> {
  // Process 1 of a container takes no SIGTERM that it did not ask for.
  const options = ['--detach', '--no-resolve-image', '--mode', 'global', '--stop-signal', 'KILL'];
  const named = ['--name', unique, '--hostname', '{{.Node.Hostname}}'];
  const script = 'echo "I am on $(hostname)"; exec sleep 1000';
  await docker.text(['service', 'create', ...options, ...named, busyboxImage, 'sh', '-c', script]);
  const follow = ['service', 'logs', '--follow', '--raw', unique];
  await using logs = docker.start(follow, { timeoutMs: 2 * swarmWithinMs });
  for (const node of nodes) await logs.says(new RegExp(`^I am on ${node.name}$`, 'm'), swarmWithinMs);
  // The managers hear of a started task a little after its first words.
  await eventually(
    async () => {
      assert.match(await docker.text(['service', 'ls']), new RegExp(`${unique} +global +3/3 `));
      const tasks = await docker.text(['service', 'ps', '--format', '{{.Node}} {{.CurrentState}}', unique]);
      for (const node of nodes) assert.match(tasks, new RegExp(`^${node.name} Running `, 'm'));
    },
    { withinMs: swarmWithinMs, everyMs: 300 },
  );
  const finite = await docker.text(['service', 'logs', '--raw', unique]);
  for (const node of nodes) assert.match(finite, new RegExp(`^I am on ${node.name}$`, 'm'));
  assert.equal(await docker.text(['service', 'rm', unique]), unique);
  await allGone(nodes, `com.docker.swarm.service.name=${unique}`);
}

export async function deploysStack(world: CliWorld, constraint: string, tasks: number): Promise<void> {
  const { docker, nodes, unique } = world;
  const file = ['--compose-file', writeStackFile(world, constraint)];
  const flags = ['--prune', '--with-registry-auth', '--resolve-image=never'];
  await docker.text(['stack', 'deploy', ...flags, ...file, unique]);
  await eventually(
    async () => {
      const row = new RegExp(`${unique}_web +global +${tasks}/${tasks} `);
      assert.match(await docker.text(['service', 'ls']), row);
    },
    { withinMs: swarmWithinMs, everyMs: 300 },
  );
  const states = await docker.text(['stack', 'ps', '--format', '{{.Name}} {{.CurrentState}}', unique]);
  assert.match(states, new RegExp(`^${unique}_web\\..* Running `));
  await eventually(
    async () => {
      const { code, stdout, stderr } = await docker.run(['stack', 'rm', unique]);
      // An engine refuses to remove a network while a task of the service that went a moment ago still ends in it.
      assert.equal(code, 0, `${stdout}${stderr}`);
    },
    { withinMs: swarmWithinMs, everyMs: 300 },
  );
  await allGone(nodes, `com.docker.stack.namespace=${unique}`);
  assert.doesNotMatch(await docker.text(['service', 'ls']), new RegExp(`${unique}_web`));
}

/** A stack of one global service in a network of its own. */
function writeStackFile({ folder }: CliWorld, constraint: string): string {
  const file = join(folder, 'stack.yml');
  writeFileSync(
    file,
    `version: '3.8'
services:
  web:
    image: ${busyboxImage}
    command: ${sleep.join(' ')}
    # Process 1 of a container takes no SIGTERM that it did not ask for.
    stop_signal: SIGKILL
    deploy:
      mode: global
      placement: { constraints: ['${constraint}'] }
`,
  );
  return file;
}

/** Waits until no node has a container with the label; the engines remove those of a service on their own. */
export async function allGone(nodes: readonly LabNode[], label: string): Promise<void> {
  for (const node of nodes) {
    const list = ['ps', '-aq', '--filter', `label=${label}`];
    await eventually(async () => assert.equal(await node.docker(list), ''), {
      withinMs: swarmWithinMs,
      everyMs: 300,
    });
  }
}

export function said(
  code: number,
  stdout: string,
  stderr: string,
): Record<'code' | 'stdout' | 'stderr', unknown> {
  return { code, stdout, stderr };
}

export function sortedLines(text: string): readonly string[] {
  return text.split('\n').filter(Boolean).toSorted();
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
