// Removes a lab whatever state it is in: processes, cgroups, namespaces, links, folders. Safe to call twice.
// Run as a program with a state file, it does so for an owner that is about to exit.

import { readdirSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import { runCommand } from './command.ts';
import { labsDir, planLab } from './plan.ts';
import { killAllOf, removeCgroups } from './processes.ts';
import { isLeftover, type LabState, listLabs, readState, takeForRemoval } from './state.ts';

/** Removes the lab that the record describes. Without a record there is nothing to do. */
export async function cleanLab(stateFile: string): Promise<void> {
  const state = readState(stateFile);
  if (state !== undefined) await removeLab(state);
}

/** Removes the labs whose owner has ended. Returns how many there were. */
export async function removeLeftovers(): Promise<number> {
  const leftovers = listLabs().filter(isLeftover);
  for (const state of leftovers) await removeLab(state);
  return leftovers.length;
}

/** Removes the labs of that name, also those left running on purpose. Returns how many there were. */
export async function removeLabsNamed(name: string): Promise<number> {
  const named = listLabs().filter((state) => state.name === name);
  for (const state of named) await removeLab(state);
  return named.length;
}

async function removeLab(state: LabState): Promise<void> {
  const plan = planLab(state.number, state.nodes);
  if (!takeForRemoval(plan.dir)) return;
  const namespaces = namespacesOf(`flotilla-lab-${state.number}-`);
  await killAllOf({ namespaces, cgroup: plan.cgroup });
  await removeCgroups(plan.cgroup);
  await runCommand(['ip', 'link', 'del', plan.hostLink], { allowFailure: true });
  for (const namespace of namespaces) await removeNamespace(namespace);
  // The records go last: until then another start finds what is left, and leaves it to this one.
  for (const entry of readdirSync(plan.dir)) {
    if (!entry.endsWith('.json')) removeTree(join(plan.dir, entry));
  }
  removeTree(plan.dir);
  tryRemove(labsDir);
}

function namespacesOf(prefix: string): readonly string[] {
  try {
    return readdirSync('/run/netns').filter((name) => name.startsWith(prefix));
  } catch {
    return [];
  }
}

async function removeNamespace(namespace: string): Promise<void> {
  await runCommand(['umount', '--lazy', join('/run/netns', namespace)], { allowFailure: true });
  // Nodes of another lab hold private copies of the mount; the kernel lets go of those with the file.
  unlinkSync(join('/run/netns', namespace));
}

/** Image layers hold files without write permission; root removes them all the same. */
function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

function tryRemove(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Other labs are in it.
  }
}

if (import.meta.main) {
  const stateFile = process.argv[2];
  if (stateFile === undefined) throw new TypeError('usage: reaper.ts <state file>');
  await cleanLab(stateFile);
}
