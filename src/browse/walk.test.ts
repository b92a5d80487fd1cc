// The walk on real folders: what it follows, where it stops, and that it leaves no handle open.

import { equal, rejects } from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readlink, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toParts } from './request-path.ts';
import { handlePath, type Missing, type OpenRoot, openParent, openPlace, openTrustedFolder } from './walk.ts';

describe('walk', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'walk-')));
    await mkdir(join(folder, 'root/a/b'), { recursive: true });
    await writeFile(join(folder, 'root/a/f'), '');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Where it arrives, relative to the root. */
  async function arrive(path: string, leaving: OpenRoot['leaving'], missing?: Missing): Promise<string> {
    await using root = await openTrustedFolder(join(folder, 'root'));
    await using place = await openPlace({ folder: root, leaving }, toParts(Buffer.from(path)), missing);
    return (await readlink(handlePath(place))).slice(join(folder, 'root').length);
  }

  const link = (target: string, path: string): Promise<void> => symlink(target, join(folder, 'root', path));

  it('follows links inside, relative to where they are', async () => {
    await link('a', 'l');
    await link('../f', 'a/b/up');
    await link('l/b/../b/up', 'chain');
    for (const [path, place] of [
      ['', ''],
      ['a/f', '/a/f'],
      ['l/b', '/a/b'],
      ['l/b/up', '/a/f'],
      ['chain', '/a/f'],
    ] as const)
      equal(await arrive(path, 'refused'), place);
  });

  it('means by dot-dot the folder above the one that was reached, not above the link', async () => {
    await link('a/b', 'l');
    await link('l/../f', 'x');
    equal(await arrive('x', 'refused'), '/a/f');
  });

  it('refuses links that leave, also by a way back in', async () => {
    await link('/', 'slash');
    await link('..', 'up');
    await link('../root/a', 'back');
    await link(join(folder, 'root/a'), 'absolute');
    for (const path of ['slash', 'slash/a', 'up', 'back/f', 'absolute'])
      await rejects(arrive(path, 'refused'), /a link leads out of the volume$/);
  });

  it('reads links as their owner where the root is his /', async () => {
    await link('/a', 'absolute');
    await link('../../a', 'above');
    equal(await arrive('absolute/f', 'from-root'), '/a/f');
    equal(await arrive('above/f', 'from-root'), '/a/f');
  });

  it('stops at loops, files and what is not there', async () => {
    await link('loop2', 'loop1');
    await link('loop1', 'loop2');
    await link(`${'a/../'.repeat(800)}a`, 'long');
    await rejects(arrive('loop1', 'refused'), /too many links$/);
    equal(await arrive('long', 'refused'), '/a');
    await rejects(arrive('a/f/x', 'refused'), { code: 'ENOTDIR' });
    await rejects(arrive('none/x', 'refused'), { code: 'ENOENT' });
  });

  it('finds nothing above a file, as the file system itself', async () => {
    await link('a/f/..', 'l');
    await link('a/f/../../..', 'out');
    for (const path of ['l', 'l/b', 'out', 'out/f'])
      await rejects(arrive(path, 'refused'), { code: 'ENOTDIR' });
  });

  it('makes what is missing where it is told to, behind links too', async () => {
    await link('a/new', 'l');
    equal(await arrive('l/deep/er', 'refused', 'made'), '/a/new/deep/er');
    equal((await readdir(join(folder, 'root/a/new/deep'))).join(), 'er');
  });

  it('finds the folder that holds the last part, which need not be there', async () => {
    await link('a', 'l');
    await using root = await openTrustedFolder(join(folder, 'root'));
    const found = await openParent({ folder: root, leaving: 'refused' }, toParts(Buffer.from('l/none')));
    await using held = found.folder;
    equal(await readlink(handlePath(held)), join(folder, 'root/a'));
    equal(found.name.toString(), 'none');
    await rejects(openParent({ folder: root, leaving: 'refused' }, []), /it is the root$/);
    await rejects(openParent({ folder: root, leaving: 'refused' }, toParts(Buffer.from('a/f/x'))), {
      code: 'ENOTDIR',
    });
  });

  it('closes every handle, whatever happened', async () => {
    await link('loop', 'loop');
    await link('..', 'out');
    // Other tests' handles may go meanwhile, but never come.
    const before = (await readdir('/proc/self/fd')).length;
    for (let i = 0; i < 50; i += 1)
      for (const path of ['a/f', 'loop', 'out', 'a/f/x', 'none'])
        await arrive(path, 'refused').catch(() => undefined);
    const after = (await readdir('/proc/self/fd')).length;
    equal(after <= before + 5, true, `${before} handles before, ${after} after`);
  });
});
