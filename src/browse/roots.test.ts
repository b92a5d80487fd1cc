// Where a volume's folder may be found, on real folders.

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRoot, ownPaths } from './roots.ts';
import { handlePath } from './walk.ts';

const never = new AbortController().signal;

describe('roots', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'roots-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = (mountpoint: string | undefined, hostRoot: string): ReturnType<typeof openRoot> =>
    openRoot(
      { kind: 'volume', name: 'v' },
      { volumeMountpoint: () => Promise.resolve(mountpoint), engineRootDir: () => '/var/lib/docker' },
      { hostRoot, hostBrowse: false },
      never,
    );

  it('looks at the path itself, and where Portainer mounts the volumes of a moved engine', () => {
    deepEqual(ownPaths('/var/lib/docker/volumes/a/_data', '/var/lib/docker'), [
      '/var/lib/docker/volumes/a/_data',
    ]);
    deepEqual(ownPaths('/data/docker/volumes/a/_data', '/data/docker/'), [
      '/data/docker/volumes/a/_data',
      '/var/lib/docker/volumes/a/_data',
    ]);
    deepEqual(ownPaths('/mnt/plugin/a', '/data/docker'), ['/mnt/plugin/a']);
    deepEqual(ownPaths('/data/docker/volumesX/a', '/data/docker'), ['/data/docker/volumesX/a']);
  });

  it('prefers the host, read through its own links', async () => {
    await mkdir(join(folder, 'disk/a'), { recursive: true });
    await writeFile(join(folder, 'disk/a/f'), 'of the host');
    await symlink('/disk', join(folder, 'vol'));
    const root = await open('/vol/a', folder);
    await using held = root.folder;
    equal(await readFile(`${handlePath(held)}/f`, 'utf8'), 'of the host');
    equal(root.leaving, 'refused');
  });

  it('takes the path as it is where no host is mounted', async () => {
    const root = await open(folder, join(folder, 'none'));
    await using held = root.folder;
    await writeFile(`${handlePath(held)}/f`, 'x');
    equal(await readFile(join(folder, 'f'), 'utf8'), 'x');
  });

  it('says when the engine or the agent has no such folder', async () => {
    await rejects(open(undefined, folder), /the engine has no folder for it$/);
    await rejects(open('', folder), /the engine has no folder for it$/);
    await rejects(open(join(folder, 'gone'), folder), /its folder is not mounted into the agent$/);
    await writeFile(join(folder, 'file'), '');
    await rejects(open('/file', folder), /its folder is not mounted into the agent$/);
  });

  it('keeps the host closed when it is switched off', async () => {
    const needs = { volumeMountpoint: () => Promise.resolve(undefined), engineRootDir: () => '' };
    await rejects(
      openRoot({ kind: 'host' }, needs, { hostRoot: folder, hostBrowse: false }, never),
      /switched off$/,
    );
  });
});
