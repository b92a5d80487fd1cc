// Puts a server on a unix socket in such a way that nobody can connect before its mode and group are set, and takes it
// away again. Replaces a socket that was left behind, and nothing else.

import { once } from 'node:events';
import { chmod, chown, lstat, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import type { Server } from 'node:net';
import { dirname, join } from 'node:path';
import { AgentError, nodeCode } from '../errors.ts';

export interface UnixPlace {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Undefined: the group that files of this process get. */
  readonly gid?: number | undefined;
  /** The engine's socket: under whatever name it is found at `path`, it stays. */
  readonly engineSocket?: string;
}

/** Says which file it is, so that one that a newer agent put in its place is told apart. */
export interface BoundSocket {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Linux has 108 bytes for a path and its end; Node cuts a longer one off without a word. */
export const maxSocketPathBytes: number = 107;

/** Folders that `bindPrivately` works in; one is left behind when the agent is killed at that moment. */
export const workFolderPrefix: string = '.s';

/**
 * Listens in a folder that only its owner may enter, sets group and mode, then moves the socket into place: there is no
 * moment in which somebody else could connect. The folder of `path` is made where it is missing.
 */
export async function bindPrivately(server: Server, place: UnixPlace): Promise<BoundSocket> {
  const { path, mode, gid } = place;
  assertFits(path);
  await mkdir(dirname(path), { recursive: true, mode: writableByOwner });
  const folder = await mkdtemp(join(dirname(path), workFolderPrefix));
  try {
    const unfinished = join(folder, 's');
    assertFits(unfinished);
    server.listen(unfinished);
    await once(server, 'listening');
    // In this order: a change of owner takes permissions away.
    if (gid !== undefined) await chown(unfinished, keepOwner, gid);
    await chmod(unfinished, mode);
    const { dev, ino } = await lstat(unfinished, { bigint: true });
    await assertReplaceable(place);
    await rename(unfinished, path);
    return { path, dev, ino };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whatever the umask: who may write to the folder can replace the socket. */
const writableByOwner = 0o755;

function assertFits(path: string): void {
  if (Buffer.byteLength(path) > maxSocketPathBytes)
    throw new AgentError('unavailable', `listen on ${path}: longer than ${maxSocketPathBytes} bytes`);
}

/** For chown: leave the user as it is. */
const keepOwner = -1;

/** Call it before the server is closed: while it listens, no other file can have its inode. */
export async function removeSocket(bound: BoundSocket): Promise<void> {
  if ((await placeOf(bound)) === 'ours') await rm(bound.path, { force: true });
}

/** What is at the socket's path now. */
export async function placeOf({ path, dev, ino }: BoundSocket): Promise<'ours' | 'other' | 'empty'> {
  const found = await lstatIfAny(path);
  if (found === undefined) return 'empty';
  return found.dev === dev && found.ino === ino ? 'ours' : 'other';
}

/** A file, a folder or a link was put there by somebody, and is not ours to remove. */
async function assertReplaceable({ path, engineSocket }: UnixPlace): Promise<void> {
  const found = await lstatIfAny(path);
  if (found === undefined) return;
  if (!found.isSocket())
    throw new AgentError('unavailable', `listen on ${path}: something is there that is no socket`);
  if (engineSocket === undefined) return;
  const engine = await stat(engineSocket, { bigint: true }).catch(() => undefined);
  if (engine?.dev === found.dev && engine.ino === found.ino)
    throw new AgentError('unavailable', `listen on ${path}: that is the engine's own socket`);
}

async function lstatIfAny(path: string): Promise<Awaited<ReturnType<typeof lstatBig>> | undefined> {
  try {
    return await lstatBig(path);
  } catch (error) {
    const code = nodeCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

const lstatBig = (path: string) => lstat(path, { bigint: true });
