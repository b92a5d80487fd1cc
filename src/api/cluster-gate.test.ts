// The gates of the Docker sockets over a real listener: what reaches the cluster or a node, and what an engine's router
// would have answered.

import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createViews, memberOf } from '../../test/support/fake-peer.ts';
import { connectRaw, exchangeRaw, type RawAddress, requestRaw } from '../../test/support/raw-http.ts';
import { AgentError } from '../errors.ts';
import { answer, type Exchange } from '../exchange.ts';
import { silentLogger } from '../log.ts';
import { createClusterGate } from './cluster-gate.ts';
import { createFail, toDockerAnswer } from './error-response.ts';
import { createNodeGate } from './node-gate.ts';
import { createListener, type Listener } from './server.ts';

describe('gates of the Docker sockets', () => {
  let folder: string;
  let address: RawAddress & { readonly kind: 'unix' };
  let seen: string[];
  let refused: number;
  const listeners: Listener[] = [];
  const admit = {
    fail: createFail(silentLogger, [], toDockerAnswer),
    observe: () => {
      refused += 1;
    },
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gate-'));
    address = { kind: 'unix', path: join(folder, 's') };
    seen = [];
    refused = 0;
  });
  afterEach(async () => {
    for (const listener of listeners.splice(0)) await listener.drain(AbortSignal.abort());
    await rm(folder, { recursive: true, force: true });
  });
  const open = async (handle: (exchange: Exchange) => void): Promise<void> => {
    const isHijack = (method: string, target: string): boolean =>
      method === 'POST' && target.endsWith('/attach');
    const nothing = (): void => undefined;
    const needs = { handle, isHijack, refuse: nothing, onBadRequest: nothing };
    const listener = createListener(needs, { keepAliveMs: 120_000 });
    listeners.push(listener);
    await listener.listenOnSocket({ path: address.path, mode: 0o600 });
  };
  const openCluster = (strict = false): Promise<void> =>
    open(
      createClusterGate(
        {
          ...admit,
          endpoint: {
            serve: (what) => {
              const { version, path, query } = what.target;
              seen.push(`${version} ${path}${query}${what.strict ? ' strict' : ''}`);
              answer(what.exchange, { status: 200, headers: [], body: '' });
            },
          },
        },
        { strict },
      ).handle,
    );
  const get = async (
    path: string,
    headers: Record<string, string> = {},
  ): Promise<readonly [number, string]> => {
    const { status, body } = await requestRaw(address, { path, headers });
    return [status, body.toString()];
  };

  it('lets every path of the engine through, and none of ours is there', async () => {
    await openCluster();
    for (const path of ['/_ping', '/v1.41/containers/json?all=1', '/ping', '/agents', '/v1.41'])
      deepEqual(await get(path), [200, '']);
    deepEqual(seen, [
      'undefined /_ping',
      'v1.41 /containers/json?all=1',
      'undefined /ping',
      'undefined /agents',
      'v1.41 ',
    ]);
    equal(refused, 0);
  });

  it('answers paths with empty and dot segments as an engine does', async () => {
    await openCluster();
    for (const [path, location] of [
      ['/v1.41/containers//json?all=1', '/v1.41/containers/json?all=1'],
      ['/containers/../info', '/info'],
      ['//evil.example/x', '/evil.example/x'],
      ['/images/a%2F%2F%3Fb/json', '/images/a/%3Fb/json'],
      ['/../_flotilla/health', '/_flotilla/health'],
    ] as const) {
      const { status, headers, body } = await requestRaw(address, { path });
      deepEqual([status, headers.get('location'), body.length], [301, location, 0]);
    }
    deepEqual(seen, []);
  });

  it('does not know the paths between agents', async () => {
    await openCluster();
    for (const path of ['/_flotilla/health', '/v1.41/_flotilla/association', '/_flotilla/'])
      deepEqual(await get(path), [404, '{"message":"page not found"}\n']);
    deepEqual([seen.length, refused], [0, 3]);
  });

  it('refuses what cannot be parsed strictly, in the form of an engine', async () => {
    await openCluster();
    for (const path of [
      '/v1.41/v1.41/info',
      '/v1.41.0/info',
      '/%5fping',
      '/containers/a%2fb/json',
      '/x%00',
      '/x%zz',
      'http://h/x',
    ]) {
      const [status, body] = await get(path);
      equal(status, 400, path);
      match(body, /^\{"message":"flotilla: parse request target: [^"]+"\}\n$/);
    }
    match(await exchangeRaw(address, 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 400 /);
    match(await exchangeRaw(address, 'GET /x y HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*\{"message":/);
    deepEqual(seen, []);
  });

  it('refuses a hijack whose body has no length', async () => {
    await openCluster();
    const head = 'POST /containers/a/attach HTTP/1.1\r\nHost: d\r\n';
    match(
      await exchangeRaw(address, `${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
      /^HTTP\/1\.1 400 [\s\S]*must have a content length/,
    );
    match(await exchangeRaw(address, `${head}\r\n`), /^HTTP\/1\.1 200 /);
    deepEqual(seen, ['undefined /containers/a/attach']);
  });

  it('is strict for a client that asks for it, or for all', async () => {
    await openCluster();
    await get('/info', { 'Flotilla-Strict': '1' });
    await get('/info', { 'Flotilla-Strict': '0' });
    equal((await get('/info', { 'Flotilla-Strict': 'yes' }))[0], 400);
    deepEqual(seen, ['undefined /info strict', 'undefined /info']);
    for (const listener of listeners.splice(0)) await listener.drain(AbortSignal.abort());
    await openCluster(true);
    await get('/info', { 'Flotilla-Strict': '0' });
    equal(seen.at(-1), 'undefined /info strict');
  });

  it('asks for a body only when the request is let through', async () => {
    await openCluster();
    for (const [path, status] of [
      ['/build', 100],
      ['/a%2fb', 400],
    ] as const) {
      await using connection = await connectRaw(address);
      await connection.send(
        `POST ${path} HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n`,
      );
      equal((await connection.head()).status, status);
    }
  });

  it('answers when what serves a request throws', async () => {
    const serve = (): never => {
      throw new TypeError('secret detail');
    };
    await open(createClusterGate({ ...admit, endpoint: { serve } }, { strict: false }).handle);
    deepEqual(await get('/info'), [503, '{"message":"flotilla: cannot serve this request now"}\n']);
  });

  it('takes a request on a node socket to the engine of that node, as it is known now', async () => {
    const views = createViews([memberOf({ nodeName: 'n2', address: '10.0.0.2' })]);
    const gate = createNodeGate({
      ...admit,
      view: views.view,
      toNode: ({ exchange, target, member }) => {
        seen.push(`${member.record.nodeName} ${member.record.address} ${target.path}`);
        answer(exchange, { status: 200, headers: [], body: '' });
      },
    });
    await open((exchange) => gate.handle(exchange, { nodeName: 'n2', engineId: 'engine-n2' }));
    await get('/info', { 'X-PortainerAgent-Target': 'n1' });
    views.change([memberOf({ nodeName: 'n2', address: '10.0.0.3' })]);
    await get('/info');
    deepEqual(seen, ['n2 10.0.0.2 /info', 'n2 10.0.0.3 /info']);
    equal((await get('/_flotilla/health'))[0], 404);
    equal((await get('/containers//json'))[0], 301);
    // Another engine under the same name is not that node.
    views.change([memberOf({ nodeName: 'n2', engineId: 'other' })]);
    deepEqual(await get('/info'), [503, '{"message":"flotilla: find the agent of n2: it is gone"}\n']);
    equal(seen.length, 2);
  });
});

describe('errors on the Docker sockets', () => {
  it('have the statuses that clients act on rightly, and the reason in words', () => {
    for (const [code, status] of [
      ['request-invalid', 400],
      ['engine-unreachable', 503],
      ['member-unreachable', 503],
      ['member-unknown', 503],
      ['no-manager', 503],
      ['timeout', 504],
      ['protocol-violation', 502],
    ] as const) {
      const shaped = toDockerAnswer(new AgentError(code, 'reach n2: refused', { cause: new Error('x') }));
      deepEqual([shaped.status, shaped.body], [status, '{"message":"flotilla: reach n2: refused"}\n']);
    }
  });
});
