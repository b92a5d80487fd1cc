// Lists a folder as the contract shows it: of a link its own size and time, and no word of what it leads to.

import { type FileHandle, lstat, opendir } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import type { BrowseEntry } from './browse.ts';
import { maxDiskCalls, onDisk } from './disk.ts';
import { isCode } from './fault.ts';
import { showName } from './names.ts';
import { childPath, handlePath } from './walk.ts';

/** A page cannot show more, and each costs a call to the file system. */
export const maxListedEntries: number = 100_000;

export async function listFolder(
  folder: FileHandle,
  signal: AbortSignal,
  maxEntries: number = maxListedEntries,
): Promise<readonly BrowseEntry[]> {
  const found = (await entriesIn(folder, maxEntries)).toSorted((a, b) => Buffer.compare(a.name, b.name));
  const entries: BrowseEntry[] = [];
  for (let at = 0; at < found.length; at += maxDiskCalls) {
    signal.throwIfAborted();
    const some = await Promise.all(found.slice(at, at + maxDiskCalls).map((one) => readEntry(folder, one)));
    entries.push(...some.filter((entry) => entry !== undefined));
  }
  return entries;
}

interface Found {
  readonly name: Buffer;
  /** As the folder itself has it noted. */
  readonly isFolder: boolean;
}

async function entriesIn(folder: FileHandle, maxEntries: number): Promise<readonly Found[]> {
  const found: Found[] = [];
  // With this encoding names are bytes, which the type of `opendir` does not say.
  const encoding = 'buffer' as BufferEncoding;
  await using entries = await onDisk(() => opendir(handlePath(folder), { encoding, bufferSize: 256 }));
  for (;;) {
    const entry = await onDisk(() => entries.read());
    if (entry === null) return found;
    if (found.length === maxEntries)
      throw new AgentError('limit-exceeded', `list a folder: it holds more than ${maxEntries} entries`);
    found.push({ name: entry.name as unknown as Buffer, isFolder: entry.isDirectory() });
  }
}

/** Undefined when it is gone already. One that cannot be read, such as a mount whose server is gone, is still shown. */
async function readEntry(folder: FileHandle, { name, isFolder }: Found): Promise<BrowseEntry | undefined> {
  try {
    const stats = await onDisk(() => lstat(childPath(folder, name)));
    return {
      name: showName(name),
      sizeBytes: stats.size,
      isFolder: stats.isDirectory(),
      modifiedSeconds: Math.floor(stats.mtimeMs / 1_000),
    };
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    if (error instanceof AgentError) throw error;
    return { name: showName(name), sizeBytes: 0, isFolder, modifiedSeconds: 0 };
  }
}
