// Frees the buffers of a long body while it streams. Each piece is memory outside V8's heap that is freed only when the
// small object that stands for it is collected; V8 counts the objects, not the memory, and lets tens of MB pile up.

import type { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes of a body between two collections of the young generation, which take less than a millisecond each. */
export const maxUncollectedBytes: number = 4 * 1024 * 1024;

let collectYoung: (() => void) | undefined;

/** Watches a body that somebody else reads. Short bodies pay one addition for each piece. */
export function collectWhileStreaming(body: Readable): void {
  let uncollectedBytes = 0;
  body.on('data', (piece: Buffer) => {
    uncollectedBytes += piece.length;
    if (uncollectedBytes < maxUncollectedBytes) return;
    uncollectedBytes = 0;
    collectYoung ??= findCollector();
    collectYoung();
  });
}

/** V8 gives its collector only to contexts that are made after the flag was set. */
function findCollector(): () => void {
  setFlagsFromString('--expose-gc');
  // V8's own function, whose options are those of `global.gc` in Node's types.
  const collect = runInNewContext('gc') as NonNullable<typeof globalThis.gc>;
  return () => collect({ type: 'minor', execution: 'sync' });
}
