// Receives a file into a temporary one and gives it its name when it is whole: under that name there is the old file or
// the new one at every moment, never a mixture. Where it goes may be known only at the end, as Portainer sends it.

import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, lstat, open, rename, unlink } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import { isCode } from './fault.ts';
import { childPath, handlePath, type OpenRoot, openPlace } from './walk.ts';

/** Begins the names of unfinished uploads, which only a killed agent leaves behind. */
export const uploadPrefix = '.flotilla-upload-';

export interface Spool {
  readonly folder: FileHandle;
  readonly name: Buffer;
  readonly file: FileHandle;
}

/**
 * Made in the first of these folders that takes it. In the root itself, a volume's upload is on the volume's own disk
 * and needs no second copy; `mode` is what the umask leaves of it.
 */
export async function openSpool(
  root: OpenRoot,
  folders: readonly (readonly Buffer[])[],
  mode: number,
): Promise<Spool> {
  let failure: unknown;
  for (const parts of folders) {
    let folder: FileHandle | undefined;
    try {
      folder = await openPlace(root, parts);
      return await makeFile(folder, mode);
    } catch (error) {
      await folder?.close();
      if (!isCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EROFS')) throw error;
      failure = error;
    }
  }
  throw failure;
}

async function makeFile(folder: FileHandle, mode: number): Promise<Spool> {
  const name = Buffer.from(`${uploadPrefix}${randomBytes(8).toString('hex')}`);
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_RDWR;
  return { folder, name, file: await open(childPath(folder, name), flags, mode) };
}

export async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at);
    at += bytesWritten;
  }
}

/** Gives the spooled file its place. Throws with nothing changed; the spool is the caller's to discard then. */
export async function placeSpool(
  spool: Spool,
  root: OpenRoot,
  folderParts: readonly Buffer[],
  name: Buffer,
): Promise<void> {
  await using folder = await openPlace(root, folderParts, 'made');
  const target = childPath(folder, name);
  await adoptOwner(spool.file, target);
  await spool.file.sync();
  try {
    await rename(childPath(spool.folder, spool.name), target);
  } catch (error) {
    if (!isCode(error, 'EXDEV')) throw error;
    await copyBeside(spool, folder, target);
  }
  await syncFolder(folder);
}

/** Also after it was placed: then its name is gone already. */
export async function discardSpool({ folder, name, file }: Spool): Promise<void> {
  await file.close();
  try {
    await unlink(childPath(folder, name));
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  } finally {
    await folder.close();
  }
}

/** The new file keeps the owner and the permissions of the one it replaces; a link is replaced, not followed. */
async function adoptOwner(file: FileHandle, target: Buffer): Promise<void> {
  const replaced = await lstat(target).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (replaced === undefined || replaced.isSymbolicLink()) return;
  if (replaced.isDirectory()) throw new AgentError('unavailable', 'replace a file: it is a folder');
  if (!replaced.isFile())
    throw new AgentError('unavailable', 'replace a file: it is a device, fifo or socket');
  await file.chown(replaced.uid, replaced.gid);
  // Without set-user-id: nobody may have meant it for these bytes.
  await file.chmod(replaced.mode & 0o777);
}

const copyBytes = 1024 * 1024;

/** Onto another file system. Read from the handle: what the spool's name leads to by now does not matter. */
async function copyBeside({ file }: Spool, folder: FileHandle, target: Buffer): Promise<void> {
  const { mode, uid, gid } = await file.stat();
  const copy = await makeFile(folder, mode & 0o777);
  try {
    const buffer = Buffer.allocUnsafe(copyBytes);
    for (let at = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      await writeAll(copy.file, buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    await copy.file.chown(uid, gid);
    await copy.file.sync();
    await rename(childPath(folder, copy.name), target);
  } catch (error) {
    await unlink(childPath(folder, copy.name)).catch(() => undefined);
    throw error;
  } finally {
    await copy.file.close();
  }
}

/** So that the name survives a power cut as the bytes do. Best effort: not every file system can. */
async function syncFolder(folder: FileHandle): Promise<void> {
  try {
    await using readable = await open(handlePath(folder), constants.O_RDONLY | constants.O_DIRECTORY);
    await readable.sync();
  } catch {
    // The file is in its place; only its durability is unknown.
  }
}
