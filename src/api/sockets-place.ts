// Where the Docker sockets are on this machine and whose they are: the folder as the host sees it, the group that may
// open them, and what an agent that was killed left behind.

import { chmod, lstat, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError, nodeCode } from '../errors.ts';
import { socketSuffix } from './sockets-plan.ts';
import { workFolderPrefix } from './unix-socket.ts';

/** On the host, as its users name it. */
export const hostSocketDir: string = '/run/flotilla';
export const clusterSocketFile: string = 'docker.sock';
export const nodesFolder: string = 'nodes';

/** In a container the host's own folder, where the host's `/` is mounted: another one nobody would find. */
export async function findSocketDir(hostRoot: string): Promise<string> {
  const run = join(hostRoot, 'run');
  const mounted = await stat(run).catch(() => undefined);
  return mounted?.isDirectory() === true ? join(hostRoot, hostSocketDir) : hostSocketDir;
}

const openToAll = 0o755;
const writableByOthers = 0o022;

/**
 * Makes the folder, or refuses one that others could change: whoever can put a socket of his own in the place of ours
 * is sent what root sends to the engine.
 */
export async function ownFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: openToAll });
  // A strict umask would shut the group out, which is let in by the mode of the sockets.
  if (made !== undefined) await chmod(path, openToAll);
  const found = await lstat(path);
  const refuse = (why: string): AgentError => new AgentError('unavailable', `use folder ${path}: ${why}`);
  if (!found.isDirectory()) throw refuse('it is no folder');
  if (found.uid !== 0 && found.uid !== process.geteuid?.())
    throw refuse(`it belongs to another user (${found.uid})`);
  if ((found.mode & writableByOthers) !== 0)
    throw refuse(`others than its owner may write to it (mode ${(found.mode & 0o777).toString(8)})`);
}

export interface GroupPlaces {
  readonly hostRoot: string;
  readonly engineSocket: string;
}

/** The id of the configured group, or that of the engine's socket. Undefined: that of this process. */
export async function findGroup(
  group: string | number | undefined,
  { hostRoot, engineSocket }: GroupPlaces,
): Promise<number | undefined> {
  if (typeof group === 'number') return group;
  if (group === undefined) return (await stat(engineSocket).catch(() => undefined))?.gid;
  // The host's file first: in a container the names of the image mean nothing to the host's users.
  for (const path of [join(hostRoot, 'etc/group'), '/etc/group']) {
    const gid = findGroupId(await readFile(path, 'utf8').catch(() => ''), group);
    if (gid !== undefined) return gid;
  }
  throw new AgentError('unavailable', `find group ${group}: not in /etc/group`);
}

/** From lines `name:password:id:members`. */
export function findGroupId(file: string, name: string): number | undefined {
  const line = file.split('\n').find((one) => one.startsWith(`${name}:`));
  const id = line?.split(':')[2] ?? '';
  return /^\d+$/.test(id) ? Number(id) : undefined;
}

/** Removes the node sockets and half-made sockets of an agent that was killed. Other files are not ours. */
export async function removeStale(dir: string): Promise<void> {
  const nodes = join(dir, nodesFolder);
  for (const folder of [dir, nodes]) {
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (folder === nodes && entry.isSocket() && entry.name.endsWith(socketSuffix)) await rm(path);
      else if (entry.isDirectory() && isWorkFolder(entry.name)) await rm(path, { recursive: true });
    }
  }
}

function isWorkFolder(name: string): boolean {
  return name.startsWith(workFolderPrefix) && /^[A-Za-z0-9]{6}$/.test(name.slice(workFolderPrefix.length));
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (nodeCode(error) === 'ENOENT') return [];
    throw error;
  }
}
