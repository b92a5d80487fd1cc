// Receives a file into a temporary one and gives it its name when it is whole: under that name there is the old file or
// the new one at every moment, never a mixture. Where it goes may be known only at the end, as Portainer sends it.

import { constants, type FileHandle, lstat, open, rename, unlink } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import { onDisk } from './disk.ts';
import { isCode } from './fault.ts';
import { newUploadName, sweepUploads } from './temporary.ts';
import { childPath, handlePath, type OpenRoot, openPlace } from './walk.ts';

export interface Spool {
  /** Of its folder, below the root. */
  readonly parts: readonly Buffer[];
  readonly folder: FileHandle;
  readonly name: Buffer;
  readonly file: FileHandle;
}

/**
 * Made in the first of these folders that takes it, for the agent's own eyes until it has its place. In the root itself, a
 * volume's upload is on the volume's own disk and needs no second copy.
 */
export async function openSpool(root: OpenRoot, folders: readonly (readonly Buffer[])[]): Promise<Spool> {
  let failure: unknown;
  for (const parts of folders) {
    let folder: FileHandle | undefined;
    try {
      folder = await openPlace(root, parts);
      return { parts, ...(await makeFile(folder)) };
    } catch (error) {
      await folder?.close();
      if (!isCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EROFS')) throw error;
      failure = error;
    }
  }
  throw failure;
}

async function makeFile(folder: FileHandle): Promise<Omit<Spool, 'parts'>> {
  await sweepUploads(folder);
  const name = newUploadName();
  return { folder, name, file: await createFile(childPath(folder, name), 0o600) };
}

function createFile(path: Buffer, mode: number): Promise<FileHandle> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_RDWR;
  return onDisk(() => open(path, flags, mode));
}

export async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await onDisk(() => file.write(bytes, at));
    at += bytesWritten;
  }
}

export interface Placement {
  readonly folderParts: readonly Buffer[];
  readonly name: Buffer;
  /** Of a new file, less what its folder or the umask takes; one that replaces another has that one's. */
  readonly mode: number;
}

/** Gives the spooled file its place. Throws with nothing changed; the spool is the caller's to discard then. */
export async function placeSpool(spool: Spool, root: OpenRoot, place: Placement): Promise<void> {
  await using folder = await openPlace(root, place.folderParts, 'made');
  const target = childPath(folder, place.name);
  const access = await accessOf(folder, target, place.mode);
  await onDisk(() => spool.file.sync());
  const beside = await moveBeside(spool, folder);
  try {
    // Not before it is in its folder: where it was spooled others may look who may not look here.
    const { mode, owner } = access;
    if (owner !== undefined) await onDisk(() => beside.file.chown(owner.uid, owner.gid));
    // Behind the owner, which Linux takes bits away with.
    await onDisk(() => beside.file.chmod(mode));
    await onDisk(() => rename(beside.path, target));
  } catch (error) {
    await onDisk(() => unlink(beside.path)).catch(() => undefined);
    throw error;
  } finally {
    if (beside.file !== spool.file) await beside.file.close();
  }
  await syncFolder(folder);
}

/** Also after it was placed: then its name is gone already. */
export async function discardSpool({ folder, name, file }: Spool): Promise<void> {
  await file.close();
  try {
    await onDisk(() => unlink(childPath(folder, name)));
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  } finally {
    await folder.close();
  }
}

interface Access {
  readonly mode: number;
  /** Undefined keeps the agent's own. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** A file keeps its owner and permissions when it is replaced; a link is replaced, not followed. */
async function accessOf(folder: FileHandle, target: Buffer, newMode: number): Promise<Access> {
  const replaced = await onDisk(() => lstat(target)).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (replaced === undefined || replaced.isSymbolicLink())
    return { mode: await modeInFolder(folder, newMode) };
  if (replaced.isDirectory()) throw new AgentError('unavailable', 'replace a file: it is a folder');
  if (!replaced.isFile())
    throw new AgentError('unavailable', 'replace a file: it is a device, fifo or socket');
  // Without set-user-id: nobody may have meant it for these bytes.
  return { mode: replaced.mode & 0o777, owner: { uid: replaced.uid, gid: replaced.gid } };
}

/** What the folder makes of it, by its default ACL or by the umask: an empty file is made there and looked at. */
async function modeInFolder(folder: FileHandle, mode: number): Promise<number> {
  const path = childPath(folder, newUploadName());
  const probe = await createFile(path, mode);
  try {
    return (await onDisk(() => probe.stat())).mode & 0o777;
  } finally {
    await probe.close();
    await onDisk(() => unlink(path)).catch(() => undefined);
  }
}

interface Beside {
  readonly file: FileHandle;
  readonly path: Buffer;
}

/** Into the folder where it will stay, still under its temporary name: only a copy can go to another file system. */
async function moveBeside(spool: Spool, folder: FileHandle): Promise<Beside> {
  const path = childPath(folder, spool.name);
  try {
    await onDisk(() => rename(childPath(spool.folder, spool.name), path));
    return { file: spool.file, path };
  } catch (error) {
    if (!isCode(error, 'EXDEV')) throw error;
    return copyBeside(spool, folder);
  }
}

const copyBytes = 1024 * 1024;

/** Read from the handle: what the spool's name leads to by now does not matter. */
async function copyBeside({ file }: Spool, folder: FileHandle): Promise<Beside> {
  const copy = await makeFile(folder);
  const path = childPath(folder, copy.name);
  try {
    const buffer = Buffer.allocUnsafe(copyBytes);
    for (let at = 0; ; ) {
      const { bytesRead } = await onDisk(() => file.read(buffer, 0, buffer.length, at));
      if (bytesRead === 0) break;
      await writeAll(copy.file, buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    await onDisk(() => copy.file.sync());
    return { file: copy.file, path };
  } catch (error) {
    await copy.file.close();
    await onDisk(() => unlink(path)).catch(() => undefined);
    throw error;
  }
}

/** So that the name survives a power cut as the bytes do. Best effort: not every file system can. */
async function syncFolder(folder: FileHandle): Promise<void> {
  try {
    await using readable = await onDisk(() =>
      open(handlePath(folder), constants.O_RDONLY | constants.O_DIRECTORY),
    );
    await onDisk(() => readable.sync());
  } catch {
    // The file is in its place; only its durability is unknown.
  }
}
