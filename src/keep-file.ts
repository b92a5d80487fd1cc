// Replaces a small file of `DATA_PATH` as a whole, so that a crash leaves the old one or the new one.

import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** For the agent's own eyes: mode 0600. The folder is made if it is not there. Rejects with the system's error. */
export async function keepFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`;
  await mkdir(path.dirname(file), { recursive: true });
  // One that a crash left may have other permissions, which opening it would keep.
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}
