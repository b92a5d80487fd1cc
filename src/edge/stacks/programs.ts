// Finds the programs that deploy stacks: in the folder for them, in this container, or the host's own.
// Compose's plugin is a whole program too, so that it needs no docker CLI around it.

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { AgentError } from '../../errors.ts';

export interface ProgramPlaces {
  /** `ASSETS_PATH`. */
  readonly assetsPath: string;
  readonly hostRoot: string;
  /** Folders of `PATH`. */
  readonly path: string;
}

export type Program = 'docker' | 'docker-compose';

const pluginFolders = [
  '/usr/local/lib/docker/cli-plugins',
  '/usr/local/libexec/docker/cli-plugins',
  '/usr/lib/docker/cli-plugins',
  '/usr/libexec/docker/cli-plugins',
];
const hostFolders = ['/usr/bin', '/usr/local/bin'];

/** Where it may be, first hit wins. */
export function candidatesOf(
  program: Program,
  { assetsPath, hostRoot, path: own }: ProgramPlaces,
): readonly string[] {
  const plugins = program === 'docker-compose' ? pluginFolders : [];
  const inside = [assetsPath, ...own.split(':').filter((folder) => folder.startsWith('/')), ...plugins];
  const outside = [...hostFolders, ...plugins].map((folder) => path.join(hostRoot, folder));
  return [...inside, ...outside].map((folder) => path.join(folder, program));
}

/** Rejects with `unavailable` when there is none. */
export async function findProgram(program: Program, places: ProgramPlaces): Promise<string> {
  for (const candidate of candidatesOf(program, places)) if (await isProgram(candidate)) return candidate;
  throw new AgentError(
    'unavailable',
    `there is no ${program} in ${places.assetsPath}, on the agent's PATH or below ${places.hostRoot}`,
  );
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    // Not there, or not for us: the next place is asked.
    return false;
  }
}
