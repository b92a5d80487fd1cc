// Attacks on the request target, as a table.

import assert from 'node:assert/strict';
import { cleanPath, maxTargetBytes, parseTarget } from './target.ts';

describe('target', () => {
  const accepted: readonly [string, { path: string; rawPath?: string; query?: string; version?: string }][] =
    [
      ['/_ping', { path: '/_ping' }],
      ['/v1.41/containers/json?all=1', { path: '/containers/json', query: '?all=1', version: 'v1.41' }],
      ['/v1.', { path: '', version: 'v1.' }],
      ['/v1.41', { path: '', version: 'v1.41' }],
      ['/v1.41/', { path: '/', version: 'v1.41' }],
      ['/v10.1/info', { path: '/v10.1/info' }],
      ['/v2/agents', { path: '/v2/agents' }],
      ['/v1/containers/x', { path: '/v1/containers/x' }],
      ['/images/repo/v1.0:latest/json', { path: '/images/repo/v1.0:latest/json' }],
      ['/images/my%2Frepo/json', { path: '/images/my/repo/json', rawPath: '/images/my%2Frepo/json' }],
      [
        '/images/sha256%3Aabc/json',
        { path: '/images/sha256:abc/json', rawPath: '/images/sha256%3Aabc/json' },
      ],
      ['/containers/a%40b/json', { path: '/containers/a@b/json', rawPath: '/containers/a%40b/json' }],
      ['/volumes/caf%C3%A9', { path: '/volumes/café', rawPath: '/volumes/caf%C3%A9' }],
      [
        '/containers/json?filters={"label":["a=b"]}',
        { path: '/containers/json', query: '?filters={"label":["a=b"]}' },
      ],
      ['/containers/json?name=%2e%2e%00', { path: '/containers/json', query: '?name=%2e%2e%00' }],
    ];
  for (const [raw, expected] of accepted) {
    it(`accepts ${raw}`, () => {
      const { canonical, ...target } = parseTarget(raw);
      assert.equal(canonical, true);
      assert.deepEqual(target, {
        rawPath: expected.rawPath ?? expected.path,
        path: expected.path,
        query: expected.query ?? '',
        version: expected.version,
      });
    });
  }

  const refused = [
    '',
    '*',
    'containers/json',
    'http://other-host/containers/json',
    'host:2375',
    '/containers/json#x',
    '/a b',
    '/a\tb',
    '/a\nb',
    '/a\\b',
    '/a%5Cb',
    '/a%00',
    '/a%0a',
    '/a%zz',
    '/a%',
    '/a%ff',
    '/caf\u00e9',
    '/containers%2Fcreate',
    '/containers/x%2Fjson',
    '/%63ontainers/json',
    '/containers/%61bc/archive',
    '/%2e%2e/containers/create',
    '/x/%2E%2E/containers/create',
    '/images/%2e%2e/json',
    '/%76%31.41/info',
    '/v1.41/v1.40/info',
    '/v1.41.0/info',
    '/v01.41/info',
    '/v.../info',
    '/v41./info',
    '/containers/json?a=\u0007',
    '/containers/json?a=b#c',
    `/${'a'.repeat(maxTargetBytes)}`,
  ];
  for (const raw of refused) {
    it(`refuses ${JSON.stringify(raw.slice(0, 60))}`, () => {
      assert.throws(() => parseTarget(raw), { code: 'request-invalid' });
    });
  }

  it('keeps double encoding for the engine to refuse, decoding once only', () => {
    assert.equal(parseTarget('/containers/a%252fb/json').path, '/containers/a%2fb/json');
  });

  const unclean: readonly [string, string][] = [
    ['//containers/create', '/containers/create'],
    ['//169.254.169.254/x', '/169.254.169.254/x'],
    ['/./agents', '/agents'],
    ['/x/../agents', '/agents'],
    ['/agents/..', '/'],
    ['/agents//', '/agents/'],
    ['/..', '/'],
  ];
  for (const [raw, cleaned] of unclean) {
    it(`marks ${raw} as not canonical`, () => {
      const { canonical, path } = parseTarget(raw);
      assert.equal(canonical, false);
      assert.equal(cleanPath(path), cleaned);
    });
  }
});
