// Pieces of valid UTF-8 out of any bytes, cut anywhere: compared with Node's own decoder over the whole.

import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { createUtf8Stream } from './websocket-utf8.ts';

function through(pieces: readonly Buffer[]): Buffer {
  const stream = createUtf8Stream();
  const out = pieces.map((piece) => Buffer.from(stream.push(piece)));
  for (const piece of out) assert.ok(isUtf8(piece), piece.toString('hex'));
  return Buffer.concat(out);
}

function cutAt(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
}

/** A small generator with a fixed seed, so that a failure can be repeated. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('UTF-8 stream', () => {
  it('passes valid text whole, wherever it is cut', () => {
    const bytes = Buffer.from('aä€😀\u{10ffff}߿ࠀ퟿\ue000�\n');
    for (let first = 0; first <= bytes.length; first += 1)
      for (let second = first; second <= bytes.length; second += 1)
        assert.deepEqual(through(cutAt(bytes, [first, second])), bytes);
    assert.deepEqual(through([...bytes].map((byte) => Buffer.of(byte))), bytes);
  });

  for (const [name, hex, kept] of [
    ['a byte that begins nothing', '61ff62', 'ab'],
    ['a lone continuation', '618062', 'ab'],
    ['an overlong form', '61c0af62e080af62f08080af62', 'abbb'],
    ['a surrogate', '61eda08062', 'ab'],
    ['what is beyond Unicode', '61f490808062', 'ab'],
    ['a character that is broken off', '61e282 62f09f98 62'.replaceAll(' ', ''), 'abb'],
    ['the header of a multiplexed frame', '010000000000008078', '\u0001\0\0\0\0\0\0x'],
  ] as const) {
    it(`drops ${name}, and nothing beside it`, () => {
      const bytes = Buffer.from(hex, 'hex');
      for (let cut = 0; cut <= bytes.length; cut += 1)
        assert.equal(through(cutAt(bytes, [cut])).toString('latin1'), kept, `cut at ${cut}`);
    });
  }

  it('is the same however random bytes are cut, and keeps what Node’s decoder keeps', () => {
    const random = createRandom(20_261_122);
    const parts = ['a', 'ä', '€', '😀'].map((text) => Buffer.from(text));
    for (let round = 0; round < 500; round += 1) {
      const bytes = Buffer.concat(
        Array.from({ length: 12 }, () => parts[random(6)] ?? Buffer.of(0x80 + random(0x80))),
      );
      const cuts = [random(bytes.length), random(bytes.length)].toSorted((a, b) => a - b);
      const whole = through([bytes, Buffer.from('.')]);
      assert.deepEqual(through([...cutAt(bytes, cuts), Buffer.from('.')]), whole);
      const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes).replaceAll('\ufffd', '');
      assert.equal(whole.toString(), `${decoded}.`, bytes.toString('hex'));
    }
  });
});
