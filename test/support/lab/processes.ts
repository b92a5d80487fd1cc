// Finds and ends the processes of a lab: those in one of its network namespaces or in one of its cgroups.
// Nothing is ever matched by name, so processes of others are safe.

import { readdirSync, readFileSync, readlinkSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const cgroupRoot = '/sys/fs/cgroup';
const goneWithinMs = 10_000;
const lookAgainMs = 20;

export interface Belongings {
  /** Names below /run/netns. */
  readonly namespaces: readonly string[];
  /** A path below each cgroup controller's root. */
  readonly cgroup: string;
}

/** Kills with SIGKILL until nothing is left; new ones may appear while the old ones die. */
export async function killAllOf(belongings: Belongings): Promise<void> {
  const deadlineMs = Date.now() + goneWithinMs;
  for (;;) {
    const pids = processesOf(belongings);
    if (pids.length === 0) return;
    if (Date.now() > deadlineMs) throw new Error(`processes ${pids.join(', ')} of the lab do not end`);
    for (const pid of pids) kill(pid);
    await delay(lookAgainMs);
  }
}

/** Process ids in the namespaces or cgroups. Containers are found by cgroup: they have namespaces of their own. */
export function processesOf({ namespaces, cgroup }: Belongings): readonly number[] {
  const inodes = new Set(namespaces.flatMap(namespaceInode));
  const found = new Set(cgroupFoldersOf(cgroup).flatMap(processesOfCgroup));
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (Number.isInteger(pid) && inodes.has(networkOf(pid))) found.add(pid);
  }
  found.delete(process.pid);
  return [...found];
}

/** Removes the cgroups of a lab in every hierarchy. They must be empty of processes. */
export async function removeCgroups(cgroup: string): Promise<void> {
  const deadlineMs = Date.now() + goneWithinMs;
  for (;;) {
    const left = cgroupFoldersOf(cgroup).toReversed();
    if (left.length === 0) return;
    if (Date.now() > deadlineMs) throw new Error(`cgroups are left: ${left.join(', ')}`);
    // A cgroup stays busy for a moment after its last process has ended.
    if (!left.every(tryRemoveFolder)) await delay(lookAgainMs);
  }
}

function namespaceInode(name: string): readonly number[] {
  try {
    return [statSync(join('/run/netns', name)).ino];
  } catch {
    return [];
  }
}

function networkOf(pid: number): number {
  try {
    return Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]);
  } catch {
    return Number.NaN;
  }
}

/** Parents before children. The first level is each controller (version 1), or the root itself (version 2). */
function cgroupFoldersOf(cgroup: string): readonly string[] {
  const roots = [cgroupRoot, ...foldersIn(cgroupRoot)].map((root) => join(root, cgroup));
  const found: string[] = [];
  const queue = roots.filter(isFolder);
  for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
    found.push(folder);
    queue.push(...foldersIn(folder));
  }
  return found;
}

function processesOfCgroup(folder: string): readonly number[] {
  try {
    return readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function foldersIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function tryRemoveFolder(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself in the meantime.
  }
}
