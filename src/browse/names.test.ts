// Names as text: every sequence of bytes comes back as it was.

import { deepEqual, equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readName, showName } from './names.ts';

describe('names of files', () => {
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ['plain', Buffer.from('a.txt'), 'a.txt'],
    ['UTF-8', Buffer.from('grün 🚢'), 'grün 🚢'],
    ['newline and quotes', Buffer.from('a\n"\'\\b'), 'a\n"\'\\b'],
    ['a byte order mark', Buffer.from('\uFEFFa'), '\uFEFFa'],
    ['Latin-1', Buffer.from([0x67, 0xfc, 0x6e]), 'g\uFFFDFCn'],
    ['a cut sequence', Buffer.from([0xe2, 0x82]), '\uFFFDE2\uFFFD82'],
    ['a surrogate', Buffer.from([0xed, 0xa0, 0x80]), '\uFFFDED\uFFFDA0\uFFFD80'],
    ['an overlong slash', Buffer.from([0xc0, 0xaf]), '\uFFFDC0\uFFFDAF'],
    ['the mark itself', Buffer.from('\uFFFD41'), '\uFFFDEF\uFFFDBF\uFFFDBD41'],
  ];
  for (const [what, bytes, text] of cases) {
    it(`shows ${what} as text and reads it back`, () => {
      equal(showName(bytes), text);
      deepEqual(readName(text), bytes);
    });
  }

  it('gives back every random name', () => {
    for (let i = 0; i < 4_000; i += 1) {
      const name = randomBytes(1 + (i % 12));
      // Dense in what UTF-8 is made of, and in the mark.
      for (let at = 0; at < name.length; at += 1) {
        const pick = [0xef, 0xbf, 0xbd, 0x41, 0x80, 0xc3, 0xf0, name[at] ?? 0];
        name[at] = pick[(name[at] ?? 0) % pick.length] ?? 0;
      }
      deepEqual(readName(showName(name)), name);
      deepEqual(readName(JSON.parse(JSON.stringify(showName(name))) as string), name);
      deepEqual(readName(decodeURIComponent(encodeURIComponent(showName(name)))), name);
    }
  });

  it('takes raw bytes, and a mark without digits, as they are', () => {
    deepEqual(readName(Buffer.from([0x61, 0xff])), Buffer.from([0x61, 0xff]));
    deepEqual(readName('a\uFFFDzz'), Buffer.from('a\uFFFDzz'));
    deepEqual(readName('\uFFFD'), Buffer.from('\uFFFD'));
    deepEqual(readName('\uFFFD2E\uFFFD2F'), Buffer.from('\uFFFD2E\uFFFD2F'));
  });
});
