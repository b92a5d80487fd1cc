// The files of volumes and of the host, for those who may use them. Nothing outside of the named root is read, written or
// revealed, also while somebody inside it swaps folders for links. Linux only.

import { constants, type FileHandle, open } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import { removePath, renamePath } from './change.ts';
import { onDisk } from './disk.ts';
import { toBrowseError } from './fault.ts';
import { listFolder } from './list.ts';
import { showName } from './names.ts';
import { readFileName, readParts, readRoot } from './request-path.ts';
import { openRoot, type RootsNeeds, type RootsOptions } from './roots.ts';
import { discardSpool, openSpool, placeSpool, writeAll } from './upload.ts';
import { handlePath, type OpenRoot, openPlace } from './walk.ts';

export type BrowseNeeds = RootsNeeds;
export type BrowseOptions = RootsOptions;

/** A path as a request gave it: bytes, in which names may be shown as `names.ts` shows them. */
export interface BrowsePath {
  /** Empty for the host. */
  readonly volumeId: string;
  readonly path: Buffer;
}

export interface BrowseEntry {
  readonly name: string;
  readonly sizeBytes: number;
  readonly isFolder: boolean;
  readonly modifiedSeconds: number;
}

/** A regular file, held open for reading. */
export interface BrowseFile extends AsyncDisposable {
  /** The last part of its path as text; for its type. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Another one whenever the content may be another one. */
  readonly tag: string;
  /** At most so many bytes from this place; empty at the end. */
  read(position: number, maxBytes: number): Promise<Buffer>;
}

/** What is known of an upload before its first byte. */
export interface ExpectedUpload {
  /** Of a new file, less the umask. */
  readonly mode: number;
  /** Where it will be placed, if that came before it: then it is received there, on the right disk. */
  readonly folder?: Buffer;
}

/** A file on its way in. Disposing of it removes what was received, unless it was placed. */
export interface BrowseUpload extends AsyncDisposable {
  write(bytes: Buffer): Promise<void>;
  /** Gives it a name, in a folder that is made if it is not there. */
  place(folder: Buffer, fileName: Buffer): Promise<void>;
}

/**
 * Rejects with `request-invalid` for what may not be named, `limit-exceeded`, `timeout` when the disk does not answer, and
 * `unavailable` for everything that the file system or the engine refuses; the message says why and is fit for clients.
 */
export interface Browse {
  /** Without host browsing only volumes can be named. */
  readonly hostBrowse: boolean;
  list(at: BrowsePath, signal: AbortSignal): Promise<readonly BrowseEntry[]>;
  open(at: BrowsePath, signal: AbortSignal): Promise<BrowseFile>;
  remove(at: BrowsePath, signal: AbortSignal): Promise<void>;
  rename(from: BrowsePath, to: Buffer, signal: AbortSignal): Promise<void>;
  upload(volumeId: string, expected: ExpectedUpload, signal: AbortSignal): Promise<BrowseUpload>;
}

export function createBrowse(needs: BrowseNeeds, options: BrowseOptions): Browse {
  const within = async <T>(
    { volumeId, path }: BrowsePath,
    attempted: string,
    signal: AbortSignal,
    act: (root: OpenRoot, parts: readonly Buffer[]) => Promise<T>,
  ): Promise<T> => {
    try {
      const named = readRoot(volumeId);
      const parts = readParts(named, path, options.hostRoot);
      const root = await openRoot(named, needs, options, signal);
      await using _held = root.folder;
      return await act(root, parts);
    } catch (error) {
      throw toBrowseError(error, attempted);
    }
  };

  return {
    hostBrowse: options.hostBrowse,
    list: (at, signal) =>
      within(at, 'list a folder', signal, async (root, parts) => {
        await using place = await openPlace(root, parts);
        return await listFolder(place, signal);
      }),
    open: (at, signal) =>
      within(at, 'open a file', signal, async (root, parts) => {
        await using place = await openPlace(root, parts);
        return await openFile(place, parts.at(-1)?.toString() ?? '');
      }),
    remove: (at, signal) => within(at, 'remove a file', signal, removePath),
    rename: (from, to, signal) =>
      within(from, 'rename a file', signal, (root, parts) =>
        renamePath(root, parts, readParts(readRoot(from.volumeId), to, options.hostRoot)),
      ),
    upload: (volumeId, expected, signal) => openUpload(needs, options, { volumeId, ...expected }, signal),
  };
}

/** By way of the place, which was looked at: nothing but a regular file is ever opened for reading. */
async function openFile(place: FileHandle, name: string): Promise<BrowseFile> {
  const stats = await onDisk(() => place.stat({ bigint: true }));
  if (stats.isDirectory()) throw new AgentError('unavailable', 'open a file: it is a folder');
  if (!stats.isFile()) throw new AgentError('unavailable', 'open a file: it is a device, fifo or socket');
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await onDisk(() => open(handlePath(place), flags));
  return {
    name,
    sizeBytes: Number(stats.size),
    modifiedMs: Number(stats.mtimeMs),
    tag: [stats.ino, stats.size, stats.mtimeNs].map((part) => part.toString(16)).join('-'),
    async read(position, maxBytes) {
      const piece = Buffer.allocUnsafe(maxBytes);
      try {
        const { bytesRead } = await onDisk(() => file.read(piece, 0, maxBytes, position));
        return piece.subarray(0, bytesRead);
      } catch (error) {
        throw toBrowseError(error, 'read a file');
      }
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** Where most hosts have room for large temporary files, unless the folder is known; else in its root. */
const hostSpool = ['var', 'tmp'].map((part) => Buffer.from(part));

function hostPath(parts: readonly Buffer[]): string {
  return ['/host', ...parts.map(showName)].join('/');
}

async function openUpload(
  needs: BrowseNeeds,
  options: BrowseOptions,
  { volumeId, mode, folder }: ExpectedUpload & { readonly volumeId: string },
  signal: AbortSignal,
): Promise<BrowseUpload> {
  const attempted = 'save a file';
  const named = readRoot(volumeId);
  const expected = folder === undefined ? undefined : readParts(named, folder, options.hostRoot);
  const root = await openRoot(named, needs, options, signal).catch((error: unknown) => {
    throw toBrowseError(error, attempted);
  });
  const orExplain = async <T>(work: Promise<T>, what = attempted): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw toBrowseError(error, what);
    }
  };
  try {
    const spools =
      named.kind === 'volume' ? [[]] : [...(expected === undefined ? [] : [expected]), hostSpool, []];
    const spool = await openSpool(root, spools);
    // The disk that is full may be another one than people expect.
    const isElsewhere = named.kind === 'host' && spool.parts !== expected;
    const receiving = isElsewhere ? `${attempted} first in ${hostPath(spool.parts)}` : attempted;
    let placed = false;
    return {
      write: (bytes) => orExplain(writeAll(spool.file, bytes), receiving),
      async place(folder, fileName) {
        const name = readFileName(fileName);
        if (name === undefined) throw new AgentError('request-invalid', 'invalid file name');
        const parts = readParts(named, folder, options.hostRoot);
        await orExplain(placeSpool(spool, root, { folderParts: parts, name, mode }));
        placed = true;
      },
      async [Symbol.asyncDispose]() {
        try {
          await discardSpool(spool);
        } catch (error) {
          // The file is where it should be; what is left of the spool goes with a later upload.
          if (!placed) throw error;
        } finally {
          await root.folder.close();
        }
      },
    };
  } catch (error) {
    await root.folder.close();
    throw toBrowseError(error, attempted);
  }
}
