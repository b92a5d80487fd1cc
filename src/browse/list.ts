// Lists a folder as the contract shows it: of a link its own size and time, and no word of what it leads to.

import { type FileHandle, lstat, opendir } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import type { BrowseEntry } from './browse.ts';
import { isCode } from './fault.ts';
import { showName } from './names.ts';
import { childPath, handlePath } from './walk.ts';

/** A page cannot show more, and each costs a call to the file system. */
export const maxListedEntries: number = 100_000;
/** Asked of the file system at once: the pool of threads is shared with everything else. */
const readAtOnce = 32;

export async function listFolder(
  folder: FileHandle,
  signal: AbortSignal,
  maxEntries: number = maxListedEntries,
): Promise<readonly BrowseEntry[]> {
  const names = (await namesIn(folder, maxEntries)).toSorted(Buffer.compare);
  const entries: BrowseEntry[] = [];
  for (let at = 0; at < names.length; at += readAtOnce) {
    signal.throwIfAborted();
    const some = await Promise.all(names.slice(at, at + readAtOnce).map((name) => readEntry(folder, name)));
    entries.push(...some.filter((entry) => entry !== undefined));
  }
  return entries;
}

async function namesIn(folder: FileHandle, maxEntries: number): Promise<readonly Buffer[]> {
  const names: Buffer[] = [];
  // With this encoding names are bytes, which the type of `opendir` does not say.
  const encoding = 'buffer' as BufferEncoding;
  const folderEntries = await opendir(handlePath(folder), { encoding, bufferSize: 256 });
  for await (const { name } of folderEntries) {
    if (names.length === maxEntries)
      throw new AgentError('limit-exceeded', `list a folder: it holds more than ${maxEntries} entries`);
    names.push(name as unknown as Buffer);
  }
  return names;
}

/** Undefined when it is gone already. */
async function readEntry(folder: FileHandle, name: Buffer): Promise<BrowseEntry | undefined> {
  try {
    const stats = await lstat(childPath(folder, name));
    return {
      name: showName(name),
      sizeBytes: stats.size,
      isFolder: stats.isDirectory(),
      modifiedSeconds: Math.floor(stats.mtimeMs / 1_000),
    };
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
