// The record of what a lab has made, written before it is made, and who owns it.
// An owner is a process id with its start time, because ids are used again.

import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type LabPlan, labsDir, maxLabs, planLab } from './plan.ts';

export interface LabState {
  readonly number: number;
  readonly nodes: number;
  readonly name: string | undefined;
  /** Nobody owns a lab that was left running on purpose; it is ended by name. */
  readonly owner: { readonly pid: number; readonly startTime: string } | undefined;
}

/** A folder without a record is being claimed right now, unless it is older than this. */
const claimGraceMs = 10_000;

/** Claims the lowest free number by making its folder, and writes the record. */
export function claimLab(nodes: number, name: string | undefined): LabPlan {
  mkdirSync(labsDir, { recursive: true });
  for (let number = 0; number < maxLabs; number += 1) {
    const plan = planLab(number, nodes);
    if (!tryMakeFolder(plan.dir)) continue;
    const owner = { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' };
    writeState(plan.stateFile, { number, nodes, name, owner });
    return plan;
  }
  throw new Error(`${maxLabs} labs exist already in ${labsDir}`);
}

/** From now on nobody owns the lab: it is ended by its name. */
export function releaseLab(stateFile: string): void {
  const state = readState(stateFile);
  if (state !== undefined) writeState(stateFile, { ...state, owner: undefined });
}

function writeState(stateFile: string, state: LabState): void {
  writeFileSync(`${stateFile}.new`, JSON.stringify(state));
  renameSync(`${stateFile}.new`, stateFile);
}

export function readState(stateFile: string): LabState | undefined {
  try {
    // Written by writeState only; a file of another shape is a fault of ours and fails where it is used.
    return JSON.parse(readFileSync(stateFile, 'utf8')) as LabState;
  } catch {
    return undefined;
  }
}

/** The labs of this machine. One that died before it could write its record has no nodes. */
export function listLabs(): readonly LabState[] {
  return numbersOfLabs().flatMap((number) => {
    const { dir, stateFile } = planLab(number, 1);
    const state = readState(stateFile);
    if (state !== undefined) return [state];
    const ageMs = Date.now() - (statSync(dir, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    return ageMs < claimGraceMs
      ? []
      : [{ number, nodes: 1, name: undefined, owner: { pid: 0, startTime: '' } }];
  });
}

/** True when the owner has ended without removing its lab. */
export function isLeftover({ owner }: LabState): boolean {
  return owner !== undefined && startTimeOf(owner.pid) !== owner.startTime;
}

function numbersOfLabs(): readonly number[] {
  try {
    return readdirSync(labsDir).map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** Field 22 of /proc/<pid>/stat, in clock ticks since boot. The command, field 2, may contain anything but a last `)`. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(join('/proc', String(pid), 'stat'), 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function tryMakeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o711 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}
