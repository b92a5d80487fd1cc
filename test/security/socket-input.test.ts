// Bad input on the cluster socket: every answer is the engine's own or a clear 4xx in Docker's shape, nothing hangs, and the
// agent serves on. On one member, where all passes to the engine, and on two, where the agent looks at it first.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { maxPipelined } from '../../src/api/pipeline.ts';
import type { AgentUnderTest } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import {
  connectRaw,
  exchangeRaw,
  type RawAddress,
  type RawAnswer,
  type RawRequest,
  requestRaw,
} from '../support/raw-http.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

/** Read by the agent when it must know where a thing belongs. */
const overBoundBytes = 4 * 1024 * 1024 + 1;
const longName = 'n'.repeat(10_000);
const json = { 'Content-Type': 'application/json' };
const unknownId = 'f'.repeat(64);

/** A request, and the statuses that answer it. */
type Case = readonly [name: string, request: RawRequest, ...statuses: readonly number[]];

const get = (path: string): RawRequest => ({ path });
const withFilters = (filters: string): RawRequest =>
  get(`/containers/json?filters=${encodeURIComponent(filters)}`);
const target = (value: string): RawRequest => ({
  path: '/containers/json',
  headers: { 'X-PortainerAgent-Target': value },
});
const strict = (value: string): RawRequest => ({
  path: '/containers/json',
  headers: { 'Flotilla-Strict': value },
});

const unknownRoutes: readonly Case[] = [
  ['a route that nobody knows', get('/nowhere'), 404],
  ['a route of podman', get('/libpod/info'), 404],
  ['no path', get('/'), 404],
  ['no path behind a version', get('/v1.41/'), 404],
  ['a version alone', get('/v1.41'), 404],
  ['an act that nobody knows', { method: 'POST', path: '/nowhere', body: '{}' }, 404],
  ['another method on a list', { method: 'POST', path: '/containers/json', body: '' }, 404],
  ['DELETE of what can only be read', { method: 'DELETE', path: '/info' }, 404],
  ['PUT of what can only be read', { method: 'PUT', path: '/version', body: '{}' }, 404],
  ['PATCH', { method: 'PATCH', path: '/containers/web', body: '{}' }, 404],
  ['OPTIONS', { method: 'OPTIONS', path: '/info' }, 404],
  ['TRACE', { method: 'TRACE', path: '/info' }, 404, 400],
  ['a method that is none', { method: 'BREW', path: '/info' }, 400],
];

const versions: readonly Case[] = [
  ['a version of the future', get('/v99.0/containers/json'), 400],
  ['a version of the past', get('/v1.1/containers/json'), 400],
  ['a version of one digit', get('/v1/containers/json'), 400, 404],
  ['a version of three parts', get('/v1.41.0/containers/json'), 400],
  ['a version that is no number', get('/vx.y/containers/json'), 404],
  ['a long version', get(`/v1.${'4'.repeat(1_000)}/containers/json`), 400],
];

const lists: readonly Case[] = [
  ['filters that are cut off', withFilters('{'), 400],
  ['filters that are bare', get('/containers/json?filters=label=a'), 400],
  ['filters of a byte that is no text', get('/containers/json?filters=%ff'), 400],
  ['filters with a broken escape', get('/containers/json?filters=%zz'), 400, 200],
  ['filters that nest without end', withFilters(`${'['.repeat(5_000)}`), 400],
  ['a raw control byte in the query', get('/containers/json?filters=\u0001'), 400],
  ['a fragment', get('/containers/json#x'), 400],
];

const names: readonly Case[] = [
  ...['containers', 'images'].map(
    (kind): Case => [
      `a name of 10,000 characters of ${kind}`,
      get(`/${kind}/${longName}/json`),
      200,
      400,
      404,
    ],
  ),
  ['a volume of 10,000 characters', get(`/volumes/${longName}`), 400, 404],
  ['a network of 10,000 characters', get(`/networks/${longName}`), 400, 404],
  ['an exec of 10,000 characters', get(`/exec/${longName}/json`), 400, 404],
  ['removal of 10,000 characters', { method: 'DELETE', path: `/containers/${longName}` }, 400, 404],
  ['a node of 10,000 characters', get(`/containers/${longName}/web/json`), 400, 404],
  ['a target over all bounds', get(`/containers/${'n'.repeat(100_000)}/json`), 400],
  ['an id that nobody has', get(`/containers/${unknownId}/json`), 404],
  [
    'an exec that nobody has',
    { method: 'POST', path: `/exec/${unknownId}/start`, headers: json, body: '{}' },
    404,
  ],
  ['an id with slashes', get('/containers/a/b/c/json'), 404],
  ['an id with an encoded slash', get('/containers/node1%2fweb/json'), 400],
  ['an id of dots behind an encoded slash', get('/containers/..%2f..%2finfo/json'), 400],
  ['an id of encoded dots', get('/containers/%2e%2e/json'), 400],
  ['an id of dots', get('/containers/../json'), 301],
  ['an empty id', get('/containers//json'), 301],
  ['an id that ends in NUL', get('/containers/web%00/json'), 400],
  ['an id with a line break', get('/containers/web%0d%0aX-Injected:%201/json'), 400],
  ['an id with an escape character', get('/containers/web%1b[2J/json'), 400],
  ['an id with DEL', get('/containers/web%7f/json'), 400],
  ['an id with a backslash', get('/containers/web%5c/json'), 400],
  ['an id that is no text', get('/containers/%c3%28/json'), 400],
  ['an id with a broken escape', get('/containers/web%zz/json'), 400],
  ['an id of raw bytes', get('/containers/w\u00e9b/json'), 400],
  ['an image with an encoded NUL', get('/images/a%00b/json'), 400],
  ['an image of dots', get('/images/a/../../info/json'), 301],
];

const steering: readonly Case[] = [
  ['a target that is no node', target('nobody'), 400],
  ['a target of 10,000 characters', target(longName), 400],
  ['a target list', target('node1,node2'), 400],
  ['a target with a path', target('../node1'), 400],
  [
    'an act on all nodes',
    { method: 'POST', path: '/containers/create', headers: { 'X-PortainerAgent-Target': '*' }, body: '{}' },
    400,
  ],
  ['Flotilla-Strict: yes', strict('yes'), 400],
  ['Flotilla-Strict: true', strict('true'), 400],
  ['Flotilla-Strict: 1, 1', strict('1, 1'), 400],
  ['an empty Flotilla-Strict', strict(''), 400],
  ['a header of 100 KB', { path: '/info', headers: { 'X-Registry-Auth': 'a'.repeat(100_000) } }, 200],
];

const cases: Readonly<Record<string, readonly Case[]>> = { unknownRoutes, versions, lists, names, steering };

for (const nodeNames of [['node1'], ['node1', 'node2']]) {
  describe(`bad input on the cluster socket of ${nodeNames.length} member(s)`, function () {
    this.timeout(40_000);
    let cluster: TestCluster;
    let under: AgentUnderTest;

    before(async () => {
      cluster = await startTestCluster({ names: nodeNames, secret: 'the secret of these members' });
      under = cluster.member('node1');
      await eventually(assertServes);
    });

    afterEach(async function () {
      if (this.currentTest?.state === 'failed') for (const { agent } of cluster.members) agent.printLog();
      await assertServes();
      for (const { agent } of cluster.members) equal(agent.running(), true);
    });

    after(() => cluster[Symbol.asyncDispose]());

    const address = (): RawAddress => ({ kind: 'unix', path: join(under.agent.socketDir, 'docker.sock') });
    const assertServes = async (): Promise<void> => {
      const { status, headers } = await requestRaw(address(), { path: '/containers/json' });
      const count = nodeNames.length;
      const nodes = count === 1 ? undefined : `asked=${count}, answered=${count}, missing=0`;
      deepEqual([status, headers.get('flotilla-nodes')], [200, nodes]);
    };

    for (const [group, members] of Object.entries(cases)) {
      for (const [name, request, ...statuses] of members) {
        it(`${group}: ${name} is answered with ${statuses.join(' or ')}`, async () => {
          const answer = await requestRaw(address(), request);
          ok(statuses.includes(answer.status), `${answer.status} ${answer.body.toString().slice(0, 300)}`);
          assertDockerShape(answer);
        });
      }
    }

    it('a target that is given twice names nobody', async () => {
      const lines = 'X-PortainerAgent-Target: node1\r\n'.repeat(2);
      const text = await exchangeRaw(
        address(),
        `GET /containers/json HTTP/1.1\r\nHost: docker\r\n${lines}Connection: close\r\n\r\n`,
      );
      match(text, /^HTTP\/1\.1 400 [\s\S]*\{"message":"flotilla: no node is called \\"node1, node1\\"/);
    });

    it('requests that do not wait for their answers are answered up to a bound, and the next one is refused in words', async () => {
      const lists = 'GET /containers/json HTTP/1.1\r\nHost: docker\r\n\r\n'.repeat(500);
      const text = await exchangeRaw(address(), lists);
      const statuses = text.match(/HTTP\/1\.1 \d+/g) ?? [];
      deepEqual([statuses.length, statuses.at(-1)], [maxPipelined + 1, 'HTTP/1.1 503']);
      match(text, /\r\nConnection: close\r\n\r\n\{"message":"flotilla: [^\n]*\n$/);
    });

    it('a hijack behind an unfinished answer is refused in words', async () => {
      const exec = `POST /exec/${unknownId}/start HTTP/1.1\r\nHost: docker\r\nContent-Length: 2\r\n\r\n{}`;
      const text = await exchangeRaw(
        address(),
        `GET /containers/json HTTP/1.1\r\nHost: docker\r\n\r\n${exec}`,
      );
      match(
        text,
        /^HTTP\/1\.1 200 [\s\S]*\]\n?(?:\r\n0\r\n\r\n)?HTTP\/1\.1 400 [\s\S]*\{"message":"flotilla: hijack: /,
      );
    });

    it('headers beyond 1 MiB are refused in words', async () => {
      const text = await exchangeRaw(
        address(),
        `GET /info HTTP/1.1\r\nHost: docker\r\nX-Big: ${'a'.repeat(2 * 1024 * 1024)}\r\n\r\n`,
      );
      match(text, /^HTTP\/1\.1 431 [\s\S]*\{"message":"/);
    });

    for (const path of ['/containers/create?name=big', '/volumes/create', '/networks/create']) {
      it(`a chunked body over the bound at ${path} is refused in words`, async () => {
        await using connection = await connectRaw(address());
        await connection.send(
          `POST ${path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
        );
        const piece = 'x'.repeat(65_536);
        for (let sent = 0; sent <= overBoundBytes; sent += piece.length) {
          await connection.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
        }
        await connection.send('0\r\n\r\n');
        const answer = await connection.answer('POST');
        equal(answer.status >= 400 && answer.status < 500, true, `${answer.status}`);
        assertDockerShape(answer);
      });
    }

    for (const [name, bytes] of [
      ['half a body', 'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1000\r\n\r\n{"Image":'],
      [
        'half a chunk',
        'POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"Image":',
      ],
      ['half a head', 'GET /containers/json HTTP/1.1\r\nHost: d\r\nX-'],
      [
        'half the body of a removal',
        'DELETE /containers/web HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n1',
      ],
    ] as const) {
      it(`${name}, and then nothing, holds up nobody and ends with the client`, async () => {
        await using connection = await connectRaw(address());
        await connection.send(bytes);
        await assertServes();
        connection.halfClose();
        match((await connection.rest()).toString(), /^$|^HTTP\/1\.1 4\d\d /);
      });
    }

    for (const [name, framing] of [
      ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n'],
      ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'],
      ['a coding that nobody knows', 'Transfer-Encoding: gzip\r\n'],
      ['a negative length', 'Content-Length: -1\r\n'],
      ['a chunk that is none', 'Transfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ] as const) {
      it(`a body of ${name} is refused`, async () => {
        const head = `POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\n${framing}\r\n{}`;
        match(await exchangeRaw(address(), head), /^$|^HTTP\/1\.1 4\d\d /);
      });
    }

    for (const body of ['', '{', '[]', 'null', '{"Labels":3}', '{"Labels":{"flotilla.node":7}}', '\u0000']) {
      it(`a create request of ${JSON.stringify(body)} is left to the engine`, async () => {
        const answer = await requestRaw(address(), {
          method: 'POST',
          path: '/containers/create',
          headers: json,
          body,
        });
        // The engine of this test creates whatever it is told to.
        equal(answer.status, 201);
      });
    }

    it('a create request for a node that does not exist is refused by name', async () => {
      const body = JSON.stringify({ Labels: { 'flotilla.node': longName } });
      const answer = await requestRaw(address(), {
        method: 'POST',
        path: '/containers/create',
        headers: json,
        body,
      });
      equal(answer.status, 400);
      match(answer.body.toString(), /no node is called/);
      ok(answer.body.length < 1_000);
    });
  });
}

/** What clients show as the daemon's words; a redirect has none. */
function assertDockerShape({ status, body, headers }: RawAnswer): void {
  if (status < 400) return;
  match(headers.get('content-type') ?? '', /^application\/json/);
  const said: unknown = JSON.parse(body.toString());
  ok(typeof said === 'object' && said !== null && 'message' in said && typeof said.message === 'string');
  ok(said.message.length > 0);
}
