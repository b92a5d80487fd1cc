// Finds and opens the roots that may be browsed: the host's, as it is mounted here, and those of volumes, where the
// engine says that they are.

import type { FileHandle } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import { onDisk } from './disk.ts';
import { isCode } from './fault.ts';
import type { Root } from './request-path.ts';
import { toParts } from './request-path.ts';
import { type OpenRoot, openPlace, openTrustedFolder } from './walk.ts';

export interface RootsNeeds {
  /** `Mountpoint` of a volume as the engine names it; undefined when it has no such volume. */
  readonly volumeMountpoint: (name: string, signal: AbortSignal) => Promise<string | undefined>;
  /** `DockerRootDir` of the engine. */
  readonly engineRootDir: () => string;
}

export interface RootsOptions {
  /** Where the host's `/` is mounted. */
  readonly hostRoot: string;
  readonly hostBrowse: boolean;
}

export async function openRoot(
  root: Root,
  needs: RootsNeeds,
  { hostRoot, hostBrowse }: RootsOptions,
  signal: AbortSignal,
): Promise<OpenRoot> {
  if (root.kind === 'host') {
    if (!hostBrowse) throw new AgentError('unavailable', 'browse the host: host browsing is switched off');
    return { folder: await openTrustedFolder(hostRoot), leaving: 'from-root' };
  }
  const mountpoint = await needs.volumeMountpoint(root.name, signal);
  if (mountpoint === undefined || !mountpoint.startsWith('/'))
    throw new AgentError('unavailable', 'open the volume: the engine has no folder for it');
  const folder =
    (await openOnHost(hostRoot, mountpoint)) ?? (await openHere(ownPaths(mountpoint, needs.engineRootDir())));
  if (folder === undefined)
    throw new AgentError('unavailable', 'open the volume: its folder is not mounted into the agent');
  return { folder, leaving: 'refused' };
}

/** Portainer's agent has the engine's volumes at this path, whatever their path on the host is. */
const volumesMount = '/var/lib/docker/volumes/';

/** Where a folder of the host may be found in the agent's own file system, likeliest first. */
export function ownPaths(mountpoint: string, engineRootDir: string): readonly string[] {
  const volumes = `${engineRootDir.replace(/\/+$/, '')}/volumes/`;
  if (volumes === volumesMount || !mountpoint.startsWith(volumes)) return [mountpoint];
  return [mountpoint, `${volumesMount}${mountpoint.slice(volumes.length)}`];
}

/** Links on the way are the host's own, such as `/var/lib/docker` to another disk; they mean paths of the host. */
async function openOnHost(hostRoot: string, path: string): Promise<FileHandle | undefined> {
  return ifThere(async () => {
    await using host = await openTrustedFolder(hostRoot);
    const place = await openPlace({ folder: host, leaving: 'from-root' }, toParts(Buffer.from(path)));
    return (await onDisk(() => place.stat())).isDirectory() ? place : void (await place.close());
  });
}

async function openHere(paths: readonly string[]): Promise<FileHandle | undefined> {
  for (const path of paths) {
    const folder = await ifThere(() => openTrustedFolder(path));
    if (folder !== undefined) return folder;
  }
  return undefined;
}

async function ifThere(openIt: () => Promise<FileHandle | undefined>): Promise<FileHandle | undefined> {
  try {
    return await openIt();
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
