// Removes and renames by name, in a folder that is held open: what a link leads to is never touched.

import { lstat, rename, rmdir, unlink } from 'node:fs/promises';
import { onDisk } from './disk.ts';
import { isCode } from './fault.ts';
import { childPath, type OpenRoot, openParent } from './walk.ts';

/** A file, a link, or an empty folder. */
export async function removePath(root: OpenRoot, parts: readonly Buffer[]): Promise<void> {
  const { folder, name } = await openParent(root, parts);
  await using _held = folder;
  const path = childPath(folder, name);
  try {
    await onDisk(() => unlink(path));
  } catch (error) {
    // Linux says EISDIR, others EPERM.
    if (!isCode(error, 'EISDIR', 'EPERM')) throw error;
    await onDisk(() => rmdir(path)).catch((failure: unknown) => {
      throw isCode(failure, 'ENOTDIR') ? error : failure;
    });
  }
}

/** An existing file is replaced, an existing folder is not. */
export async function renamePath(
  root: OpenRoot,
  from: readonly Buffer[],
  to: readonly Buffer[],
): Promise<void> {
  const source = await openParent(root, from);
  await using _source = source.folder;
  const target = await openParent(root, to);
  await using _target = target.folder;
  const [sourcePath, targetPath] = [
    childPath(source.folder, source.name),
    childPath(target.folder, target.name),
  ];
  const [moved, replaced] = await Promise.all([
    onDisk(() => lstat(sourcePath)),
    onDisk(() => lstat(targetPath)).catch((error: unknown) => {
      if (isCode(error, 'ENOENT')) return undefined;
      throw error;
    }),
  ]);
  const isSame = replaced?.ino === moved.ino && replaced.dev === moved.dev;
  if (replaced?.isDirectory() === true && !isSame)
    throw Object.assign(new Error('rename over a folder'), { code: 'EEXIST' });
  await onDisk(() => rename(sourcePath, targetPath));
}
