// Run as a process of its own: swaps a folder for a link and back, as fast as it can, until it is told to end.
// Arguments: the folder, where it is kept meanwhile, and the targets of the links, in turn. Prints how often at its end.

import { renameSync, rmSync, symlinkSync } from 'node:fs';

const [folder = '', kept = '', ...targets] = process.argv.slice(2);
let swaps = 0;
let ended = false;
process.once('SIGTERM', () => {
  ended = true;
});

/** A stretch at a time, so that the signal is seen. */
function swapSome(): void {
  for (let i = 0; i < 50; i += 1) {
    renameSync(folder, kept);
    put(() => symlinkSync(targets[swaps % targets.length] ?? '/', folder));
    put(() => renameSync(kept, folder));
    swaps += 1;
  }
  if (ended) process.stdout.write(`${swaps}\n`);
  else setImmediate(swapSome);
}

/** In place of what is there: the link, or what an upload made while the name was free, and may still be filling. */
function put(inPlace: () => void): void {
  for (let tries = 0; ; tries += 1) {
    try {
      rmSync(folder, { recursive: true, force: true });
      inPlace();
      return;
    } catch (error) {
      if (tries === 1_000) throw error;
    }
  }
}

process.stdout.write('ready\n');
swapSome();
