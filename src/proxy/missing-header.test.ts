// The headers as tables, with the names and numbers that would break them.

import assert from 'node:assert/strict';
import { OutgoingMessage } from 'node:http';
import { type MissingNode, maxMissingHeaderBytes, missingHeaders } from './missing-header.ts';

const nowMs = 1_000_000;
const gone = (node: string, reason = 'timeout', ageMs = 0): MissingNode => ({
  node,
  reason,
  sinceMs: nowMs - ageMs,
});

describe('missing-header', () => {
  it('only counts when all answered', () => {
    assert.deepEqual(missingHeaders(3, [], nowMs), ['Flotilla-Nodes', 'asked=3, answered=3, missing=0']);
  });

  it('names node, reason and age', () => {
    const missing = [gone('node3', 'timeout', 12_900), gone('node-4.lan', 'dead', 100_000)];
    assert.deepEqual(missingHeaders(4, missing, nowMs), [
      'Flotilla-Nodes',
      'asked=4, answered=2, missing=2',
      'Flotilla-Missing',
      'node3;reason=timeout;age=12, node-4.lan;reason=dead;age=100',
    ]);
  });

  it('says the status of an answer that was no list', () => {
    const missing = [{ ...gone('n', 'bad-answer'), status: 403 }];
    assert.equal(missingHeaders(1, missing, nowMs)[3], 'n;reason=bad-answer;status=403;age=0');
  });

  it('gives age 0 after the clock stepped back', () => {
    assert.equal(missingHeaders(1, [gone('n', 'dead', -5_000)], nowMs)[3], 'n;reason=dead;age=0');
  });

  const names: readonly (readonly [string, string])[] = [
    ['a b', 'a%20b'],
    ['a, b;reason=x', 'a%2C%20b%3Breason%3Dx'],
    ['*', '%2A'],
    ['100%', '100%25'],
    ['a\r\nSet-Cookie: x', 'a%0D%0ASet-Cookie:%20x'],
    ['küche', 'k%C3%BCche'],
    ['\u0000', '%00'],
  ];
  for (const [name, wanted] of names) {
    it(`escapes ${JSON.stringify(name)}`, () => {
      assert.equal(missingHeaders(1, [gone(name)], nowMs)[3], `${wanted};reason=timeout;age=0`);
    });
  }

  for (const [count, name] of [
    [1_000, 'node'],
    [40, 'ü'.repeat(5_000)],
    [100_000, 'n'],
  ] as const) {
    it(`stays within its bound with ${count} missing nodes and counts those that do not fit`, () => {
      const missing = Array.from({ length: count }, (_, index) => gone(`${name}${index}`));
      const [, , header = '', value = ''] = missingHeaders(count, missing, nowMs);
      assert.ok(value.length <= maxMissingHeaderBytes, `${value.length} bytes`);
      const items = value.split(', ');
      assert.equal(items.length - 1 + Number(/^\*;more=(\d+)$/.exec(items.at(-1) ?? '')?.[1]), count);
      new OutgoingMessage().setHeader(header, value); // throws on anything that is no header value
    });
  }
});
