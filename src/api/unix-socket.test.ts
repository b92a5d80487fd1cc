// Unix sockets over a real file system: who may connect from the first moment on, and what is never replaced.

import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { lstatSync, readdirSync } from 'node:fs';
import { link, lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bindPrivately, maxSocketPathBytes, placeOf, removeSocket } from './unix-socket.ts';

describe('unix socket', () => {
  let folder: string;
  let path: string;
  const servers: Server[] = [];
  const server = (): Server => {
    const made = createServer((socket) => socket.end());
    servers.push(made);
    return made;
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unix-'));
    path = join(folder, 'docker.sock');
  });
  afterEach(async () => {
    for (const one of servers.splice(0)) one.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('can be connected to once it is in place, with its mode and group', async () => {
    const gid = process.getgid?.() === 0 ? 4_321 : process.getgid?.();
    const bound = await bindPrivately(server(), { path, mode: 0o640, gid });
    const found = await lstat(path);
    deepEqual([found.mode & 0o777, found.gid, found.isSocket()], [0o640, gid, true]);
    await once(connect(path).resume(), 'end');
    equal(await placeOf(bound), 'ours');
    await removeSocket(bound);
    deepEqual(await readdir(folder), []);
  });

  it('is out of reach of others at every moment of its making', async () => {
    const seen = new Set<string>();
    let done = false;
    // Looks in between any two steps of the making.
    const look = (): void => {
      for (const name of readdirSync(folder)) {
        const found = lstatSync(join(folder, name), { throwIfNoEntry: false });
        if (found !== undefined) seen.add(`${found.isDirectory() ? 'folder' : name} ${found.mode & 0o777}`);
      }
      if (!done) setImmediate(look);
    };
    look();
    await bindPrivately(server(), { path, mode: 0o660 });
    done = true;
    look();
    deepEqual([...seen].toSorted(), [`docker.sock ${0o660}`, `folder ${0o700}`]);
  });

  it('replaces what a killed agent left', async () => {
    const first = await bindPrivately(server(), { path, mode: 0o600 });
    const second = await bindPrivately(server(), { path, mode: 0o600 });
    equal(await placeOf(first), 'other');
    await removeSocket(first);
    equal(await placeOf(second), 'ours');
    await rm(path);
    equal(await placeOf(second), 'empty');
    await removeSocket(second);
  });

  it('does not replace a file, a folder or a link, wherever it leads', async () => {
    const target = join(folder, 'target');
    await bindPrivately(server(), { path: target, mode: 0o600 });
    await symlink(target, path);
    const refused = { code: 'unavailable', message: /something is there that is no socket/ };
    await rejects(bindPrivately(server(), { path, mode: 0o600 }), refused);
    ok((await lstat(path)).isSymbolicLink());
    await rm(path);
    await writeFile(path, 'precious');
    await rejects(bindPrivately(server(), { path, mode: 0o600 }), refused);
    equal(await readFile(path, 'utf8'), 'precious');
    await rejects(bindPrivately(server(), { path: folder, mode: 0o600 }), { code: 'unavailable' });
    deepEqual((await readdir(folder)).toSorted(), ['docker.sock', 'target']);
  });

  it("does not replace the engine's own socket, under any of its names", async () => {
    const engineSocket = join(folder, 'engine.sock');
    const engine = server().listen(engineSocket);
    await once(engine, 'listening');
    // As in a container, where the socket is mounted on one path and the host's folder on another.
    await link(engineSocket, path);
    for (const at of [engineSocket, path]) {
      await rejects(bindPrivately(server(), { path: at, mode: 0o600, engineSocket }), {
        code: 'unavailable',
        message: /engine's own socket/,
      });
      await once(connect(at).resume(), 'end');
    }
  });

  it('refuses a path that the kernel would cut', async () => {
    const longest = join(folder, 'x'.repeat(maxSocketPathBytes - folder.length - 1));
    await bindPrivately(server(), { path: longest, mode: 0o600 });
    await once(connect(longest).resume(), 'end');
    await rejects(bindPrivately(server(), { path: `${longest}x`, mode: 0o600 }), /longer than 107 bytes/);
  });
});
