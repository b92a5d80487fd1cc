// Streams of objects, cut anywhere.

import assert from 'node:assert/strict';
import { pick, seeded } from '../../../test/support/random-json.ts';
import { Framer, maxEventBytes } from './framer.ts';

const cut = (chunks: readonly string[]): readonly string[] => {
  const framer = new Framer();
  return chunks.flatMap((chunk) => framer.push(Buffer.from(chunk))).map(String);
};

describe('framer', () => {
  const objects = ['{"a":"}{\\"\\\\"}', '{}', '{"b":{"c":[{"d":"\\\\"}]}}', '{"e":"\u{1f433}"}'];

  it('cuts lines, sequences with record separators, and what has nothing between', () => {
    assert.deepEqual(cut([objects.join('\n')]), objects);
    assert.deepEqual(cut([objects.map((object) => `\x1e${object}\r\n`).join('')]), objects);
    assert.deepEqual(cut([objects.join('')]), objects);
    assert.deepEqual(cut(['\n\n', '']), []);
  });

  it('cuts the same however the stream comes', () => {
    const random = seeded(7);
    const bytes = Buffer.from(objects.join('\n'));
    for (let round = 0; round < 500; round += 1) {
      const framer = new Framer();
      const found: string[] = [];
      for (let at = 0; at < bytes.length; ) {
        const to = Math.min(bytes.length, at + 1 + pick(random, 6));
        found.push(...framer.push(bytes.subarray(at, to)).map(String));
        at = to;
      }
      assert.deepEqual(found, objects);
    }
  });

  it('holds nothing of an object that is too long, and goes on behind it', () => {
    const framer = new Framer();
    const piece = Buffer.from(`${'x'.repeat(64 * 1024)}`);
    framer.push(Buffer.from('{"a":"'));
    for (let bytes = 0; bytes < 2 * maxEventBytes; bytes += piece.length)
      assert.deepEqual(framer.push(piece), []);
    assert.deepEqual(framer.push(Buffer.from('"}\n{"b":1}\n')).map(String), ['{"b":1}']);
    assert.equal(framer.skipped, 1);
  });

  it('refuses what is no sequence of objects', () => {
    for (const text of ['[{}]', 'null', '{},{}', '}'])
      assert.throws(() => cut([text]), { code: 'protocol-violation' }, text);
  });
});
