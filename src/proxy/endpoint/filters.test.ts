// Queries of lists as tables: what is read, what is forwarded, and what is left to the engine.

import assert from 'node:assert/strict';
import { parseQuery } from '../query.ts';
import { forwardQuery, parseListQuery, type QueryChange } from './filters.ts';

const withFilters = (filters: unknown): string => `?filters=${encodeURIComponent(JSON.stringify(filters))}`;
const nodesOf = (query: string): readonly string[] | undefined => {
  const { nodes } = parseListQuery(query);
  return nodes === undefined ? undefined : [...nodes];
};
const filtersOf = (query: string): unknown =>
  JSON.parse(parseQuery(query)?.find(({ name }) => name === 'filters')?.value ?? 'null');

describe('filters', () => {
  const untouched = [
    '',
    '?',
    '?all=1',
    '?limit=5&size=1&all=0',
    '?all=1&filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D&x',
    '?filters={%22label%22:[%22a=b%22]}',
    '?filters=null',
    '?filters=',
  ];
  for (const query of untouched) {
    it(`forwards ${query === '' ? 'nothing' : query} byte for byte`, () => {
      assert.equal(forwardQuery(parseListQuery(query)), query);
      assert.equal(nodesOf(query), undefined);
    });
  }

  const refused = [
    '?filters=x',
    '?filters=%7B%22node%22',
    '?filters=[]',
    '?filters=3',
    withFilters({ node: 'a' }),
    withFilters({ node: { a: 1 } }),
    withFilters({ node: [1] }),
    withFilters({ node: ['a'], status: { running: true } }),
    `${withFilters({ node: ['a'] })}&limit=x`,
    `${withFilters({ node: ['a'] })}&b=%zz`,
    `${withFilters({ node: ['a'] })};b=1`,
  ];
  for (const query of refused) {
    it(`leaves ${query} to the engine`, () => {
      const parsed = parseListQuery(query);
      assert.equal(parsed.parsed, undefined);
      assert.equal(nodesOf(query), undefined);
      assert.equal(forwardQuery(parsed, { before: undefined, limit: 'lifted' }), query);
    });
  }

  it('takes `node` out of both forms, and keeps all else', () => {
    const map = withFilters({ node: { 'a+b': true, ü: true }, label: { 'x=%&"': true, y: false } });
    assert.deepEqual(nodesOf(map), ['a+b', 'ü']);
    assert.deepEqual(filtersOf(forwardQuery(parseListQuery(map))), { label: { 'x=%&"': true, y: false } });
    const list = `?all=%31${withFilters({ node: ['a'], name: ['b', 'c'] }).replace('?', '&')}&size=1`;
    assert.deepEqual(nodesOf(list), ['a']);
    assert.match(forwardQuery(parseListQuery(list)), /^\?all=%31&filters=[^&]+&size=1$/);
    assert.deepEqual(filtersOf(forwardQuery(parseListQuery(list))), { name: ['b', 'c'] });
  });

  it('keeps an empty filter in the place of one that had only `node`, so that a second one stays unread', () => {
    const query = `${withFilters({ node: ['a'] })}&filters=x&limit=1`;
    assert.equal(forwardQuery(parseListQuery(query)), '?filters=%7B%7D&limit=1');
  });

  it('takes an empty `node` for none, and one that is false for nobody', () => {
    assert.equal(nodesOf(withFilters({ node: [] })), undefined);
    assert.deepEqual(filtersOf(forwardQuery(parseListQuery(withFilters({ node: {} })))), {});
    assert.deepEqual(nodesOf(withFilters({ node: { a: false } })), []);
  });

  it('keeps keys that mean something to JavaScript', () => {
    const text = '{"node":{"__proto__":true},"__proto__":{"constructor":true}}';
    const query = `?filters=${encodeURIComponent(text)}`;
    assert.deepEqual(nodesOf(query), ['__proto__']);
    const sent = forwardQuery(parseListQuery(query));
    assert.equal(sent, `?filters=${encodeURIComponent('{"__proto__":{"constructor":true}}')}`);
  });

  it('reads limits as Go does', () => {
    const limitOf = (text: string): number => parseListQuery(`?limit=${text}`).limit;
    assert.deepEqual(['', '0', '7', '%2B7', '-1', '007'].map(limitOf), [0, 0, 7, 7, 0, 7]);
  });

  it('reads the containers that are named', () => {
    const { before, since } = parseListQuery(
      withFilters({ before: { a: true }, since: { b: true, c: true } }),
    );
    assert.deepEqual([before, since], ['a', 'c']);
    assert.equal(parseListQuery(withFilters({ before: [] })).before, undefined);
  });

  const given = { before: ['a'], status: ['exited'] };
  const changes: readonly (readonly [string, string, QueryChange, string])[] = [
    [
      'another name',
      withFilters(given),
      { before: 'id' },
      withFilters({ status: ['exited'], before: ['id'] }),
    ],
    ['no name', withFilters(given), { before: undefined }, withFilters({ status: ['exited'] })],
    [
      'no limit',
      `?all=0&limit=3&${withFilters(given).slice(1)}`,
      { before: undefined, limit: 'lifted' },
      `${withFilters({ status: ['exited'] })}&all=1`,
    ],
    ['no limit where there was none', '?all=0&limit=0', { limit: 'lifted' }, '?all=0&limit=0'],
    [
      'the map form',
      withFilters({ since: { a: true } }),
      { since: 'id' },
      withFilters({ since: { id: true } }),
    ],
  ];
  for (const [name, query, change, wanted] of changes) {
    it(`forwards ${name}`, () => assert.equal(forwardQuery(parseListQuery(query), change), wanted));
  }
});
