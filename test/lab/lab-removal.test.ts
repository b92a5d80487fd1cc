// A lab leaves nothing behind: no process, namespace, mount, cgroup, link, route or folder, however its owner ended.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'mocha';

import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/lab/command.ts';
import { createLab, type Lab } from '../support/lab/lab.ts';
import { planLab } from '../support/lab/plan.ts';
import { processesOf } from '../support/lab/processes.ts';
import { removeLabsNamed, removeLeftovers } from '../support/lab/reaper.ts';
import { listLabs, readState } from '../support/lab/state.ts';

const labTimeoutMs = 60_000;

describe('the end of a lab', function () {
  this.timeout(labTimeoutMs);

  it('removes everything, also with containers running and beside another lab', async () => {
    await using other = await createLab({ nodes: 1, swarm: false });
    const lab = await createLab({ nodes: 2, swarm: true });
    await lab.node(1).docker(['run', '-d', 'busybox:lab', 'sleep', '1000']);
    await lab.node(2).docker(['run', '-d', '--network', 'host', 'busybox:lab', 'sleep', '1000']);
    lab.node(1).spawn(['sleep', '1000'], { stdio: 'ignore' });
    const number = numberOf(lab);
    assert.notEqual(number, numberOf(other));
    assert.ok((await tracesOf(number)).length > 10);
    await lab[Symbol.asyncDispose]();
    assert.deepEqual(await tracesOf(number), []);
    assert.match(await other.node(1).docker(['version']), /Server/);
  });

  it('is brought about by a start that fails', async () => {
    const before = listLabs().map((state) => state.number);
    const broken = createLab({ nodes: 2, swarm: false, engineTcpPort: 70_000 });
    await assert.rejects(broken, /start a node of the lab/);
    const left = listLabs().filter(
      (state) => state.owner?.pid === process.pid && !before.includes(state.number),
    );
    assert.deepEqual(left, []);
  });

  it('comes with the signal that ends its owner', async () => {
    const owner = await spawnOwner({ nodes: 1, swarm: false });
    assert.ok((await tracesOf(owner.number)).length > 5);
    const exited = once(owner.child, 'exit');
    owner.child.kill('SIGTERM');
    assert.deepEqual(await exited, [143, null]);
    assert.deepEqual(await tracesOf(owner.number), []);
  });

  it('comes with the next start when its owner was killed', async () => {
    const owner = await spawnOwner({ nodes: 1, swarm: false });
    const exited = once(owner.child, 'exit');
    owner.child.kill('SIGKILL');
    await exited;
    assert.ok((await tracesOf(owner.number)).length > 5);
    // Another test on this machine may be quicker than this call.
    await removeLeftovers();
    await eventually(async () => assert.deepEqual(await tracesOf(owner.number), []), { withinMs: 20_000 });
  });

  it('does not come to a lab that was left running until it is called for by name', async () => {
    const name = `test-${process.pid}`;
    const owner = await spawnOwner({ nodes: 1, swarm: false, name }, 'lab.leaveRunning()');
    const exited = once(owner.child, 'exit');
    owner.child.kill('SIGTERM');
    await exited;
    await removeLeftovers();
    assert.ok((await tracesOf(owner.number)).length > 5);
    assert.equal(await removeLabsNamed(name), 1);
    assert.deepEqual(await tracesOf(owner.number), []);
  });
});

function numberOf(lab: Lab): number {
  const state = readState(lab.stateFile);
  assert.ok(state);
  return state.number;
}

interface Owner {
  readonly child: ChildProcess;
  readonly number: number;
}

/** A process of its own that makes a lab and then waits. */
async function spawnOwner(options: object, then = ''): Promise<Owner> {
  const code = `
    const { createLab } = await import(${JSON.stringify(import.meta.resolve('../support/lab/lab.ts'))});
    const lab = await createLab(${JSON.stringify(options)});
    ${then};
    console.log(lab.stateFile);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  const state = readState(String(line).trim());
  assert.ok(state, `no record at ${String(line)}`);
  return { child, number: state.number };
}

/** Whatever on this machine carries the lab's number. */
async function tracesOf(number: number): Promise<readonly string[]> {
  const { dir, cgroup, hostLink, subnet } = planLab(number, 1);
  const prefix = `${cgroup}-`;
  const namespaces = entries('/run/netns').filter((name) => name.startsWith(prefix));
  const cgroups = [
    join('/sys/fs/cgroup', cgroup),
    ...entries('/sys/fs/cgroup').map((at) => join('/sys/fs/cgroup', at, cgroup)),
  ];
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const routes = await runCommand(['ip', 'route', 'show', subnet]);
  return [
    ...processesOf({ namespaces, cgroup }).map((pid) => `process ${pid}`),
    ...commandsNaming(`${dir}/`).map((pid) => `process ${pid} by its arguments`),
    ...namespaces,
    ...cgroups.filter((path) => existsSync(path)),
    ...mounts.filter((line) => line.includes(prefix) || line.includes(`${dir}/`)),
    ...entries('/sys/class/net').filter((name) => name === hostLink),
    ...routes.stdout.split('\n').filter(Boolean),
    ...[dir].filter((path) => existsSync(path)),
  ];
}

function commandsNaming(text: string): readonly string[] {
  return entries('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry) || entry === String(process.pid)) return false;
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
