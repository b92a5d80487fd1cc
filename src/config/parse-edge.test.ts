// The options of Edge mode, and what is refused of them.

import assert from 'node:assert/strict';
import type { EdgeConfig } from './config.ts';
import { parseConfig } from './parse.ts';

function edgeOf(env: Readonly<Record<string, string>>, argv: readonly string[] = []): EdgeConfig | undefined {
  return parseConfig(env, argv, () => {
    throw new Error('no file');
  }).edge;
}

const least = { EDGE: '1', EDGE_ID: 'site-1' };

describe('options of Edge mode', () => {
  it('have an effect with EDGE only', () => {
    assert.equal(edgeOf({ EDGE_ID: 'x', EDGE_KEY: 'y', HTTP_PROXY: 'not a proxy' }), undefined);
  });

  it('have the defaults of the original, E6 among them: an inactivity limit above 4m30s', () => {
    assert.deepEqual(edgeOf(least), {
      id: 'site-1',
      key: undefined,
      dataPath: '/data',
      page: { host: '0.0.0.0', port: 80 },
      tunnel: true,
      inactivityMs: 300_000,
      insecurePoll: false,
      proxies: { http: undefined, https: undefined, except: undefined },
      mtls: undefined,
      meta: { edgeGroupIds: [], tagIds: [], environmentGroupId: 0 },
      updateId: 0,
      timeZone: undefined,
      assetsPath: '/app',
    });
  });

  it('are read as the original reads them', () => {
    const edge = edgeOf(
      {
        ...least,
        EDGE_KEY: 'abc',
        EDGE_GROUPS: '1:2',
        PORTAINER_TAGS: '3',
        PORTAINER_GROUP: '4',
        HTTPS_PROXY: 'proxy.example.com:3128',
        NO_PROXY: 'localhost,.example.com',
        MTLS_SSL_CERT: '/c',
        TZ: 'Europe/Berlin',
      },
      ['--edge-port', '8080', '--no-edge-tunnel', '--edge-inactivity', '10m', '--mtlskey', '/k'],
    );
    assert.equal(edge?.key, 'abc');
    assert.deepEqual(edge?.meta, { edgeGroupIds: [1, 2], tagIds: [3], environmentGroupId: 4 });
    assert.deepEqual(edge?.proxies, {
      http: undefined,
      https: 'http://proxy.example.com:3128',
      except: 'localhost,.example.com',
    });
    assert.deepEqual(edge?.mtls, { cert: '/c', key: '/k', ca: undefined });
    assert.deepEqual([edge?.page.port, edge?.tunnel, edge?.inactivityMs], [8080, false, 600_000]);
    assert.equal(edge?.timeZone, 'Europe/Berlin');
  });

  const faults: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    ['no EDGE_ID', { EDGE: '1' }, /EDGE_ID=\(redacted\): expected an identifier/],
    ['an EDGE_ID of spaces', { EDGE: '1', EDGE_ID: '  ' }, /EDGE_ID=\(redacted\): expected an identifier/],
    [
      'an EDGE_ID that no header can carry',
      { EDGE: '1', EDGE_ID: 'a\nb' },
      /EDGE_ID=\(redacted\): expected printable/,
    ],
    ['a key of spaces', { ...least, EDGE_KEY: ' ' }, /EDGE_KEY=\(redacted\)/],
    ['async mode', { ...least, EDGE_ASYNC: '1' }, /EDGE_ASYNC="1": async Edge mode is not available/],
    ['a proxy that is none', { ...least, HTTP_PROXY: 'ftp://u:geheim@x' }, /HTTP_PROXY=\(redacted\)/],
    ['a certificate without its key', { ...least, MTLS_SSL_CERT: '/c' }, /MTLS_SSL_KEY="": expected both/],
    [
      'the page on the port of the API',
      { ...least, EDGE_SERVER_PORT: '9001' },
      /EDGE_SERVER_PORT="9001": expected another/,
    ],
  ];
  for (const [name, env, message] of faults) {
    it(`refuse ${name}`, () => {
      assert.throws(() => edgeOf(env), { code: 'config-invalid', message });
    });
  }
});
