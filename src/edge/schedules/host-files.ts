// Files of the host, each in a folder that is held open: written whole or not at all, read up to a bound.
// A link where a file is expected is replaced or refused, never followed.

import { constants, type FileHandle, open, rename, rm } from 'node:fs/promises';
import { nodeCode } from '../../errors.ts';

/**
 * Opens a folder by the path that the host knows it by, links read as the host reads them. Undefined: there is none, and
 * it was not to be made. Linux only: what it holds is reached below `/proc/self/fd`.
 */
export type OpenHostFolder = (path: string, missing: 'left' | 'made') => Promise<FileHandle | undefined>;

export async function writeWhole(
  folder: FileHandle,
  name: string,
  content: string | Buffer,
  mode: number,
): Promise<void> {
  // Cron reads no file with a dot in its name, so nothing half-written is ever run.
  const temporary = pathOf(folder, `.${name}.tmp`);
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(content);
    // Not by opening: the umask would take bits away.
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, pathOf(folder, name));
}

/** Undefined where there is no such file, and for what is no file: a link, a folder, a pipe. */
export async function readEnd(
  folder: FileHandle,
  name: string,
  maxBytes: number,
): Promise<Buffer | undefined> {
  // Without waiting, because opening a pipe waits for its writer.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(pathOf(folder, name), flags).catch((error: unknown) => {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(nodeCode(error) ?? '')) return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return undefined;
    const bytes = Buffer.alloc(Math.min(stats.size, maxBytes));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, stats.size - bytes.length);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export async function removeFile(folder: FileHandle, name: string): Promise<void> {
  await rm(pathOf(folder, name), { force: true });
}

function pathOf({ fd }: FileHandle, name: string): string {
  return `/proc/self/fd/${fd}/${name}`;
}
