// Queries as the engine reads them, the ugly ones included.

import assert from 'node:assert/strict';
import { countsBytes, firstValue, isTrue, parseQuery } from './query.ts';

describe('query', () => {
  it('reads names and values, and keeps the bytes of each pair', () => {
    assert.deepEqual(parseQuery('?a=b%20c&d&=x&&e=1=2&f=a+b'), [
      { raw: 'a=b%20c', name: 'a', value: 'b c' },
      { raw: 'd', name: 'd', value: '' },
      { raw: '=x', name: '', value: 'x' },
      { raw: 'e=1=2', name: 'e', value: '1=2' },
      { raw: 'f=a+b', name: 'f', value: 'a b' },
    ]);
    assert.deepEqual(parseQuery(''), []);
    assert.deepEqual(parseQuery('?'), []);
    assert.equal(parseQuery('a=%C3%BC%F0%9F%90%B3')?.[0]?.value, 'ü\u{1f433}');
    assert.equal(parseQuery('a=%ff')?.[0]?.value, '\ufffd');
  });

  it('does not read what the engine refuses', () => {
    for (const query of ['a=%', 'a=%4', 'a=%zz', '%=a', 'a=1;b=2'])
      assert.equal(parseQuery(query), undefined);
  });

  it('takes the first of several', () => {
    const pairs = parseQuery('a=1&%61=2') ?? assert.fail();
    assert.equal(firstValue(pairs, 'a'), '1');
    assert.equal(firstValue(pairs, 'b'), '');
  });

  it('takes for true what the engine does', () => {
    for (const text of ['1', 'true', 'yes', 'x', '00', 'FALSE?']) assert.equal(isTrue(text), true, text);
    for (const text of ['', '0', 'no', ' False ', 'NONE']) assert.equal(isTrue(text), false, text);
  });

  it('knows the lists that make an engine count bytes', () => {
    for (const path of ['/containers/json?all=1&size=1', '/x?size=true', '/images/json?shared-size=1'])
      assert.equal(countsBytes(path), true, path);
    for (const path of ['/containers/json', '/x?size=0', '/x?size', '/x?sizes=1', '/x?size=1;'])
      assert.equal(countsBytes(path), false, path);
  });
});
