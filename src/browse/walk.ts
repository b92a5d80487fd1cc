// Opens what a path names below a root, part by part, each below the handle of the one before, so that the kernel never
// follows a link for us. Whoever swaps folders and links during the call changes what is found, never that it is inside.

import { constants, type FileHandle, mkdir, open, readlink } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import { onDisk } from './disk.ts';
import { isCode } from './fault.ts';
import { dotDot, toParts } from './request-path.ts';

export interface OpenRoot {
  readonly folder: FileHandle;
  /** What becomes of links that leave it: refused, or read as the owner of this root reads them, for whom it is `/`. */
  readonly leaving: 'refused' | 'from-root';
}

/** What Linux itself follows in one path. */
const maxFollowedLinks = 40;
/** A target of 4096 bytes may be a thousand turns; together with the links that is more than anybody needs. */
const maxOpenedParts = 4_096;

/**
 * Only a place, without reading or writing rights: nothing is read, a fifo does not block, a device does not start.
 * Linux's `O_PATH`, which Node has no name for.
 */
const openPath = 0o10000000;
const placeFlags = openPath | constants.O_NOFOLLOW;
const folderFlags = openPath | constants.O_DIRECTORY;

/** Where the kernel finds what a handle holds. The `openat` of those who have only `open`. */
export function handlePath({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

export function childPath(folder: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${handlePath(folder)}/`), name]);
}

/** A folder that the agent itself names, links included. */
export function openTrustedFolder(path: string): Promise<FileHandle> {
  return onDisk(() => open(path, folderFlags));
}

export type Missing = 'refused' | 'made';

/** The place that these parts name, its links followed inside the root; of whatever kind it is. The caller closes it. */
export async function openPlace(
  root: OpenRoot,
  parts: readonly Buffer[],
  missing: Missing = 'refused',
): Promise<FileHandle> {
  const walk = { left: parts, done: [] as readonly Buffer[], links: 0, opened: 0 };
  let at = await openTrustedFolder(handlePath(root.folder));
  try {
    for (let name = walk.left[0]; name !== undefined; name = walk.left[0]) {
      walk.opened += 1;
      if (walk.opened > maxOpenedParts) throw tooManyLinks();
      const rest = walk.left.slice(1);
      const step = name.equals(dotDot) ? await above(root, at, walk.done) : await enter(at, name, missing);
      await at.close();
      if (step.kind === 'place') {
        at = step.handle;
        walk.left = rest;
        walk.done = [...walk.done, name];
        continue;
      }
      at = await openTrustedFolder(handlePath(root.folder));
      if (step.kind === 'link') walk.links += 1;
      if (walk.links > maxFollowedLinks) throw tooManyLinks();
      walk.left = [...(step.kind === 'link' ? behind(root, walk.done, step.target) : step.parts), ...rest];
      walk.done = [];
    }
    return at;
  } catch (error) {
    await at.close();
    throw error;
  }
}

/** The folder that holds the last part, and that part: for those who act on the name and not on what it leads to. */
export async function openParent(
  root: OpenRoot,
  parts: readonly Buffer[],
): Promise<{ readonly folder: FileHandle; readonly name: Buffer }> {
  const name = parts.at(-1);
  if (name === undefined) throw new AgentError('unavailable', 'change a path: it is the root');
  const folder = await openPlace(root, parts.slice(0, -1));
  try {
    await assertFolder(folder);
    return { folder, name };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** A place may be of any kind, and nothing is above or below a file. Throws as the system does. */
async function assertFolder(place: FileHandle): Promise<void> {
  if (!(await onDisk(() => place.stat())).isDirectory())
    throw Object.assign(new Error('pass through a file'), { code: 'ENOTDIR' });
}

type Step =
  | { readonly kind: 'place'; readonly handle: FileHandle }
  | { readonly kind: 'link'; readonly target: Buffer }
  /** Walk these from the root instead. */
  | { readonly kind: 'again'; readonly parts: readonly Buffer[] };

async function enter(folder: FileHandle, name: Buffer, missing: Missing): Promise<Step> {
  const path = childPath(folder, name);
  const handle = await onDisk(() => open(path, placeFlags)).catch(async (error: unknown) => {
    if (missing === 'refused' || !isCode(error, 'ENOENT')) throw error;
    await onDisk(() => mkdir(path, 0o755)).catch((failure: unknown) => {
      // Somebody else made it meanwhile; what it is shows when it is opened.
      if (!isCode(failure, 'EEXIST')) throw failure;
    });
    return onDisk(() => open(path, placeFlags));
  });
  try {
    if (!(await onDisk(() => handle.stat())).isSymbolicLink()) return { kind: 'place', handle };
    // Read by name, so it may be another link by now: the target is only text, and walked like every other path.
    const target = await onDisk(() => readlink(path, { encoding: 'buffer' }));
    await handle.close();
    return { kind: 'link', target };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Never by the file system's own `..`: a folder may have been moved out of the root since. */
async function above(root: OpenRoot, at: FileHandle, done: readonly Buffer[]): Promise<Step> {
  await assertFolder(at);
  if (done.length === 0 && root.leaving === 'refused') throw leadsOut();
  return { kind: 'again', parts: done.slice(0, -1) };
}

function behind(root: OpenRoot, done: readonly Buffer[], target: Buffer): readonly Buffer[] {
  const isAbsolute = target[0] === 0x2f;
  if (isAbsolute && root.leaving === 'refused') throw leadsOut();
  return [...(isAbsolute ? [] : done), ...toParts(target)];
}

function leadsOut(): AgentError {
  return new AgentError('request-invalid', 'a link leads out of the volume');
}

function tooManyLinks(): AgentError {
  return new AgentError('unavailable', 'follow links: too many links');
}
