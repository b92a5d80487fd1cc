// Targets written anew: what is replaced, and that all else keeps its bytes.

import assert from 'node:assert/strict';
import { matchRoute } from '../routes/match.ts';
import type { RouteMatch } from '../routes/route.ts';
import { filledPath, withQueryValue } from './rewrite.ts';

function matchOf(method: string, path: string): RouteMatch {
  const match = matchRoute(method, path);
  assert.ok(match);
  return match;
}

describe('filledPath', () => {
  it('puts a name into the path of its route', () => {
    const match = matchOf('POST', '/containers/ab/start');
    assert.equal(filledPath(match, { id: 'abcdef' }), '/containers/abcdef/start');
  });

  it('encodes what is not plain, and leaves the slashes of an image', () => {
    const match = matchOf('GET', '/images/b/repo/json');
    assert.equal(filledPath(match, { name: 'my repo/x:1' }), '/images/my%20repo/x%3A1/json');
  });
});

describe('withQueryValue', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['?container=ab', '?container=full'],
    ['?comment=a+b&container=ab&repo=x%2Fy', '?comment=a+b&container=full&repo=x%2Fy'],
    ['?container=ab&container=cd', '?container=full&container=cd'],
    ['?containe%72=ab', '?containe%72=full'],
    ['?x&container=', '?x&container=full'],
  ];
  for (const [query, expected] of rows) {
    it(`replaces the first value in ${query}`, () =>
      assert.equal(withQueryValue(query, 'container', 'full'), expected));
  }
});
