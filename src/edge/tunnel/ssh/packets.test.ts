// What the sealer hands out stays as it was handed out: pieces wait to be sent while others are made.

import assert from 'node:assert/strict';
import { createPacketOpener, createPacketSealer } from './packets.ts';

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes);
const key = { key: Buffer.alloc(16, 1), nonce: Buffer.alloc(12, 2) };

describe('packets', () => {
  it('keeps every packet as it is while later ones are made, in clear and sealed', () => {
    const sealer = createPacketSealer(zeros);
    const opener = createPacketOpener();
    const payloads = [40, 5, 300, 32_768, 2].map((bytes, at) => Buffer.alloc(bytes, at + 1));
    const clear = payloads.flatMap((payload) => sealer.seal(payload));
    sealer.use(key);
    const sealed = payloads.flatMap((payload) => sealer.seal(payload.subarray(0, 1), payload.subarray(1)));
    opener.push(Buffer.concat(clear));
    for (const payload of payloads) assert.deepEqual(opener.next(), payload);
    opener.use(key);
    opener.push(Buffer.concat(sealed));
    for (const payload of payloads) assert.deepEqual(opener.next(), payload);
    assert.equal(opener.next(), undefined);
  });
});
