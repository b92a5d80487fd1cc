// Listing folders: order, links, what vanishes meanwhile, and the bound.

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentError } from '../errors.ts';
import { listFolder } from './list.ts';
import { openTrustedFolder } from './walk.ts';

const never = new AbortController().signal;

describe('lists of folders', () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'list-'));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  it('sorts names by their bytes and shows links as they are', async () => {
    for (const name of ['b', 'a', 'B', 'é', '10', '9']) await writeFile(join(path, name), 'x');
    await mkdir(join(path, 'folder'));
    await symlink('folder', join(path, 'link'));
    await using folder = await openTrustedFolder(path);
    const entries = await listFolder(folder, never);
    deepEqual(
      entries.map(({ name }) => name),
      ['10', '9', 'B', 'a', 'b', 'folder', 'link', 'é'],
    );
    deepEqual(
      entries.filter(({ isFolder }) => isFolder).map(({ name }) => name),
      ['folder'],
    );
    equal(entries.find(({ name }) => name === 'link')?.sizeBytes, 'folder'.length);
  });

  it('lists up to its bound and refuses one more', async () => {
    for (const name of ['a', 'b', 'c']) await writeFile(join(path, name), '');
    await using folder = await openTrustedFolder(path);
    equal((await listFolder(folder, never, 3)).length, 3);
    await rejects(
      listFolder(folder, never, 2),
      (error) => error instanceof AgentError && error.code === 'limit-exceeded',
    );
  });

  it('leaves out what goes while it is read, and stops when the client left', async () => {
    const names = Array.from({ length: 400 }, (_, at) => join(path, String(at)));
    for (const name of names) await writeFile(name, '');
    await using folder = await openTrustedFolder(path);
    const removed = Promise.all(names.map((name) => unlink(name)));
    const entries = await listFolder(folder, never);
    await removed;
    equal(entries.length <= names.length, true);
    await writeFile(join(path, 'one'), '');
    await rejects(listFolder(folder, AbortSignal.abort()), { name: 'AbortError' });
  });
});
