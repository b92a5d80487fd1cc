// Random bytes a few at a time, as every packet is padded with: one call of the system's generator serves many.

import { randomFillSync } from 'node:crypto';

const poolBytes = 4_096;

/** Each byte is given out once. */
export function createRandomPool(): (bytes: number) => Buffer {
  let pool = Buffer.alloc(0);
  return (bytes) => {
    if (pool.length < bytes) pool = randomFillSync(Buffer.allocUnsafeSlow(Math.max(poolBytes, bytes)));
    const given = pool.subarray(0, bytes);
    pool = pool.subarray(bytes);
    return given;
  };
}
