// The names of files that are on their way in, and what becomes of those that a killed agent left behind.

import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, opendir, unlink } from 'node:fs/promises';
import { onDisk } from './disk.ts';
import { childPath, handlePath } from './walk.ts';

/** Begins the names of unfinished uploads. */
const uploadPrefix = '.flotilla-upload-';
/** Nobody else's names: what a user calls so by hand stays. */
const uploadName = new RegExp(`^${RegExp.escape(uploadPrefix)}[0-9a-f]{16}$`);
/** An upload that still comes is written to within `uploadSilenceMs`; clocks of other machines may be wrong by the rest. */
const staleMs = 3_600_000;
/** Names that one upload looks at, whatever else is in the folder. */
export const maxSweptNames: number = 10_000;

export function newUploadName(): Buffer {
  return Buffer.from(`${uploadPrefix}${randomBytes(8).toString('hex')}`);
}

/** Removes the stale files of uploads from this folder. Best effort: an upload must not fail because of an older one. */
export async function sweepUploads(folder: FileHandle): Promise<void> {
  try {
    let looked = 0;
    await using entries = await onDisk(() => opendir(handlePath(folder), { bufferSize: 256 }));
    for (;;) {
      const entry = await onDisk(() => entries.read());
      looked += 1;
      if (entry === null || looked > maxSweptNames) return;
      const { name } = entry;
      if (uploadName.test(name)) await removeIfStale(childPath(folder, Buffer.from(name)));
    }
  } catch {
    // It is not readable; what is stale in it takes room, and nothing else.
  }
}

async function removeIfStale(path: Buffer): Promise<void> {
  try {
    const stats = await onDisk(() => lstat(path));
    if (stats.isFile() && stats.mtimeMs < Date.now() - staleMs) await onDisk(() => unlink(path));
  } catch {
    // Another upload was faster, or it may not be removed.
  }
}
