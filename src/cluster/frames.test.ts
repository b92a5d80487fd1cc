// Frames that arrive in pieces of any size: what they say, and that many small pieces cost no more than their bytes.

import assert from 'node:assert/strict';
import { createFrameReader, encodeFrame, type Frame } from './frames.ts';
import { maxAnswerBytes } from './messages.ts';

const largest = encodeFrame({ id: 1, body: 'x'.repeat(maxAnswerBytes - 18) });

function* cut(bytes: Uint8Array, sizes: () => number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; ) {
    const end = start + sizes();
    // A copy, as of a buffer that its owner uses again.
    const chunk = Buffer.from(bytes.subarray(start, end));
    yield chunk;
    chunk.fill(0);
    start = end;
  }
}

function readAll(chunks: Iterable<Uint8Array>): readonly Frame[] {
  const read = createFrameReader();
  const frames: Frame[] = [];
  for (const chunk of chunks) frames.push(...read(chunk));
  return frames;
}

/** Processor time: other processes on the machine do not count. */
function cpuMsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

describe('frame reader', function () {
  this.timeout(60_000);

  it('reads the same frames from pieces of any size', () => {
    const frames: readonly Frame[] = [1, 5, 300, 0, 70_000, 2].map((length, id) => ({
      id,
      body: 'ü'.repeat(length),
    }));
    const bytes = Buffer.concat(frames.map(encodeFrame));
    const spread = [1, 3, 4, 5, 1_000, 65_536, 7];
    let next = 0;
    const mixed = (): number => spread[next++ % spread.length] ?? 1;
    for (const sizes of [() => 1, () => 7, () => 1_000, () => bytes.length, mixed]) {
      assert.deepEqual(readAll(cut(bytes, sizes)), frames);
    }
  });

  it('reads the largest frame, and the next one after it', () => {
    const second = encodeFrame({ id: 2, body: 'next' });
    const both = Buffer.concat([largest, second]);
    assert.equal(largest.length, 4 + maxAnswerBytes);
    for (const size of [both.length, 65_536, largest.length - 1]) {
      const frames = readAll(cut(both, () => size));
      assert.deepEqual(
        frames.map(({ id }) => id),
        [1, 2],
      );
    }
  });

  it('takes a large frame whose end comes byte by byte at the price of its bytes', () => {
    const single = 10_000;
    const rest = largest.length - single;
    let first = true;
    const sizes = (): number => {
      const size = first ? rest : 1;
      first = false;
      return size;
    };
    const wholeMs = cpuMsOf(() => assert.equal(readAll([largest]).length, 1));
    const piecesMs = cpuMsOf(() => assert.equal(readAll(cut(largest, sizes)).length, 1));
    // Copying all that is pending for each byte moves 30 GB, which takes seconds.
    assert.ok(piecesMs < 500 + 10 * wholeMs, `whole ${wholeMs} ms, in pieces ${piecesMs} ms`);
  });

  it('takes a large frame that comes byte by byte from its start', () => {
    const bytes = largest.subarray(0, 300_000);
    const ms = cpuMsOf(() => assert.equal(readAll(cut(bytes, () => 1)).length, 0));
    assert.ok(ms < 2_000, `${ms} ms`);
  });
});
