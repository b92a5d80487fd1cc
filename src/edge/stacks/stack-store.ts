// Keeps what is known of the stacks, and their files, in `DATA_PATH`: a restart neither loses a stack nor deploys it again.
// The list is replaced as a whole; a stack's folder is written beside its place and then renamed.

import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { nodeCode, reasonOf, toAgentError } from '../../errors.ts';
import { keepFile } from '../../keep-file.ts';
import type { Logger } from '../../log.ts';
import type { Portainer } from '../edge.ts';
import type { StackFiles } from './stack-file.ts';
import type { KeptStack } from './stack-plan.ts';

/** Whose stacks they are. */
export type StackOwner = Pick<Portainer, 'url' | 'environmentId'>;

export interface StackStore {
  /** Of this owner; those of another one are forgotten, because their ids mean other stacks. */
  load(owner: StackOwner): Promise<readonly KeptStack[]>;
  save(owner: StackOwner, records: readonly KeptStack[]): Promise<void>;
  /** Replaces the stack's folder. Resolves to where its compose file is. */
  writeFiles(stackId: number, files: StackFiles): Promise<StackPlace>;
  removeFiles(stackId: number): Promise<void>;
}

export interface StackPlace {
  readonly folder: string;
  readonly composeFile: string;
}

interface Kept {
  readonly form: (typeof knownForms)[number];
  /** Not in form 1: then they are of whichever Portainer has this environment. */
  readonly portainerUrl?: string;
  readonly environmentId: number;
  readonly records: readonly KeptStack[];
}

const currentForm = 2;
const knownForms = [1, currentForm] as const;

export function createStackStore(dataPath: string, log: Logger): StackStore {
  const root = path.join(dataPath, 'edge_stacks');
  const file = path.join(root, 'stacks.json');
  const folderOf = (stackId: number): string => path.join(root, String(stackId));
  return {
    async load(owner) {
      const kept = await loadKept(file, log);
      if (kept === undefined || isSameOwner(ownerOf(kept, owner), owner)) return kept?.records ?? [];
      log.warn('stacks of another environment forgotten; they go on running', {
        ...ownerOf(kept, owner),
        stacks: kept.records.length,
      });
      return [];
    },
    async save({ url, environmentId }, records) {
      const kept: Kept = { form: currentForm, portainerUrl: url, environmentId, records };
      await keepWhole(file, JSON.stringify(kept, undefined, 1)).catch((error: unknown) => {
        throw toAgentError(error, 'unavailable', `keep the list of stacks in ${file}`);
      });
    },
    async writeFiles(stackId, files) {
      const folder = folderOf(stackId);
      await writeFolder(folder, files).catch((error: unknown) => {
        throw toAgentError(error, 'unavailable', `write the files of a stack to ${folder}`);
      });
      return { folder, composeFile: path.join(folder, ...files.entry) };
    },
    removeFiles: (stackId) => rm(folderOf(stackId), { recursive: true, force: true }),
  };
}

export function isSameOwner(one: StackOwner, other: StackOwner): boolean {
  return one.url === other.url && one.environmentId === other.environmentId;
}

function ownerOf({ portainerUrl, environmentId }: Kept, { url }: StackOwner): StackOwner {
  return { url: portainerUrl ?? url, environmentId };
}

async function loadKept(file: string, log: Logger): Promise<Kept | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (nodeCode(error) === 'ENOENT') return undefined;
    throw toAgentError(error, 'unavailable', `read the list of stacks of ${file}`);
  }
  try {
    const kept = JSON.parse(text) as Kept;
    // Only this agent writes it, and as a whole: with its form it has all of its members.
    if (knownForms.includes(kept.form) && Array.isArray(kept.records)) return kept;
    log.warn('list of stacks not understood; they are deployed again', { file });
  } catch (error) {
    log.warn('list of stacks not understood; they are deployed again', { file, reason: reasonOf(error) });
  }
  return undefined;
}

async function keepWhole(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await keepFile(file, text);
}

/** Into a new folder, in which no link can be: names are held to their form, and each file is made and never opened. */
async function writeFolder(folder: string, { entries }: StackFiles): Promise<void> {
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true, mode: 0o700 });
  for (const { parts, content, mode } of entries) {
    const place = path.join(fresh, ...parts);
    await mkdir(content === undefined ? place : path.dirname(place), { recursive: true });
    if (content !== undefined) await writeFile(place, content, { flag: 'wx', mode });
  }
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
}
