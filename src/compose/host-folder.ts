// Opens folders of the host below the place where its root is mounted, with links read as the host reads them.

import type { FileHandle } from 'node:fs/promises';
import { isCode } from '../browse/fault.ts';
import { toParts } from '../browse/request-path.ts';
import { openPlace, openTrustedFolder } from '../browse/walk.ts';
import { AgentError } from '../errors.ts';

/** A link of the host such as `/opt -> /srv/opt` would lead into this container if the kernel followed it. */
export async function openHostFolder(
  hostRoot: string,
  path: string,
  missing: 'left' | 'made',
): Promise<FileHandle | undefined> {
  await using root = await openTrustedFolder(hostRoot).catch((error: unknown) => {
    if (missing === 'left' && isCode(error, 'ENOENT')) return undefined;
    const message = `open the host's files: they are not mounted at ${hostRoot}`;
    throw new AgentError('unavailable', message, { cause: error });
  });
  if (root === undefined) return undefined;
  try {
    const opened = { folder: root, leaving: 'from-root' } as const;
    const place = await openPlace(
      opened,
      toParts(Buffer.from(path)),
      missing === 'made' ? 'made' : 'refused',
    );
    if ((await place.stat()).isDirectory()) return place;
    await place.close();
  } catch (error) {
    if (missing === 'left' && isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  throw new AgentError('unavailable', `open ${path} of the host: it is not a folder`);
}
