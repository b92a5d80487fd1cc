// Numbers beyond what JavaScript holds, through reading, adding and writing.

import assert from 'node:assert/strict';
import { isObject, parseExact, parseObject, sumOf, toJson } from './exact-json.ts';

const roundTrip = (text: string): string => toJson(parseExact(Buffer.from(text))).trimEnd();

describe('exact JSON', () => {
  const kept = [
    '{"Size":9007199254740993}',
    '{"Size":-9007199254740993,"Other":[18446744073709551615,1]}',
    '[123456789012345678901234567890]',
    '{"a":{"b":[{"c":9223372036854775807}]},"id":"1234567890123456789"}',
    '{"Created":1795331555,"f":0.5,"n":null,"t":true,"s":"\\u00e9 \\" \\\\"}',
    '{"__proto__":{"x":9007199254740993}}',
  ];
  for (const text of kept) {
    it(`writes ${text} as it was read`, () =>
      assert.deepEqual(JSON.parse(roundTrip(text)), JSON.parse(text)));
    it(`keeps every digit of ${text}`, () => {
      assert.deepEqual(roundTrip(text).match(/\d+/g), roundTrip(roundTrip(text)).match(/\d+/g));
      assert.deepEqual(roundTrip(text).match(/\d{16,}/g), text.match(/\d{16,}/g));
    });
  }

  const sums: readonly (readonly [string, string])[] = [
    ['[]', '0'],
    ['[1,2,3]', '6'],
    ['[9007199254740991,1]', '9007199254740992'],
    ['[9223372036854775807,9223372036854775807]', '18446744073709551614'],
    ['[9007199254740993,-9007199254740993,5]', '5'],
    ['[1,null,"2",0.5,{}]', '1'],
  ];
  for (const [values, sum] of sums) {
    it(`adds ${values} up to ${sum}`, () => {
      assert.equal(toJson(sumOf(parseExact(Buffer.from(values)) as unknown[])), `${sum}\n`);
    });
  }

  it('gives only objects as objects', () => {
    for (const text of ['', '{', '[]', 'null', '7', '9007199254740993', '"x"'])
      assert.equal(parseObject(Buffer.from(text)), undefined, text);
    assert.equal(isObject(parseExact(Buffer.from('9007199254740993'))), false);
    assert.deepEqual(parseObject(Buffer.from(' {"a":1}\n')), { a: 1 });
  });
});
