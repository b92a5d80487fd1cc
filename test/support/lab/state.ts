// The record of what a lab has made, written before it is made, and who owns it.
// An owner is a process id with its start time, because ids are used again.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { nodeCode } from '../../../src/errors.ts';
import { type LabPlan, labsDir, maxLabs, planLab } from './plan.ts';

export interface LabState {
  readonly number: number;
  readonly nodes: number;
  readonly name: string | undefined;
  /** Nobody owns a lab that was left running on purpose; it is ended by name. */
  readonly owner: Owner | undefined;
}

interface Owner {
  readonly pid: number;
  readonly startTime: string;
}

/** A folder without a record is being claimed right now, unless it is older than this. */
const claimGraceMs = 10_000;

/** Claims the lowest free number by making its folder, and writes the record. */
export function claimLab(nodes: number, name: string | undefined): LabPlan {
  mkdirSync(labsDir, { recursive: true });
  for (let number = 0; number < maxLabs; number += 1) {
    const plan = planLab(number, nodes);
    if (!tryMakeFolder(plan.dir)) continue;
    writeState(plan.stateFile, { number, nodes, name, owner: thisProcess() });
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
  return readJson<LabState>(stateFile);
}

/** Files of this module only; one of another shape is a fault of ours and fails where it is used. */
function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
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
  return owner !== undefined && !isAlive(owner);
}

/**
 * True for the one process that may remove the lab. Without this a slow remover could hit a new lab that was given the
 * same number. A remover that died is replaced.
 */
export function takeForRemoval(dir: string): boolean {
  const file = join(dir, 'removing.json');
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(thisProcess()), { flag: 'wx' });
      return true;
    } catch (error) {
      // Gone altogether, with its folder: somebody was quicker.
      if (nodeCode(error) !== 'EEXIST') return false;
    }
    const remover = readJson<Owner>(file);
    if (remover === undefined || isAlive(remover)) return false;
    rmSync(file, { force: true });
  }
}

function thisProcess(): Owner {
  return { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' };
}

function isAlive({ pid, startTime }: Owner): boolean {
  return startTimeOf(pid) === startTime;
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
    if (nodeCode(error) === 'EEXIST') return false;
    throw error;
  }
}
