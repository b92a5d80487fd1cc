// Requests that come before the answers to those ahead of them, on real connections: how many are served, what becomes of
// the next one, and that no hijack starts in the middle of somebody else's answer.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline as pipe } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../test/support/eventually.ts';
import { createTestIdentity } from '../../test/support/identity.ts';
import { connectRaw, type RawAddress, type RawConnection } from '../../test/support/raw-http.ts';
import type { Exchange } from '../exchange.ts';
import { silentLogger } from '../log.ts';
import { createFail, toDockerAnswer } from './error-response.ts';
import { maxPipelined } from './pipeline.ts';
import { createListener, type Listener } from './server.ts';
import { compatTls } from './tls.ts';

const get = 'GET /slow HTTP/1.1\r\nHost: docker\r\n\r\n';
const hijacks: readonly (readonly [string, string])[] = [
  ['a hijack', 'POST /containers/x/attach HTTP/1.1\r\nHost: docker\r\n\r\n'],
  [
    'an upgrade',
    'POST /containers/x/attach HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
  ],
  ['a CONNECT', 'CONNECT docker:1 HTTP/1.1\r\nHost: docker\r\n\r\n'],
];
const attach = 'POST /containers/x/attach HTTP/1.1\r\nHost: docker\r\n\r\n';
const hijacked = 'HTTP/1.1 200 OK\r\nContent-Type: raw\r\n\r\nHIJACKED';

describe('requests on one connection', () => {
  let folder: string;
  let listener: Listener;
  let seen: string[];
  let waiting: ServerResponse[];
  /** How a request that is no hijack is served. */
  let serve: (res: ServerResponse) => void;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pipeline-'));
    seen = [];
    waiting = [];
    serve = (res) => void waiting.push(res);
    const handle = (exchange: Exchange): void => {
      seen.push(`${exchange.kind} ${exchange.req.method}`);
      if (exchange.kind === 'request') serve(exchange.res);
      else exchange.socket.end(hijacked);
    };
    listener = createListener(
      {
        handle,
        isHijack: (method, target) => method === 'POST' && target.endsWith('/attach'),
        refuse: createFail(silentLogger, ['Listener', 'this'], toDockerAnswer),
        onBadRequest: () => undefined,
      },
      { keepAliveMs: 120_000 },
    );
  });

  afterEach(async () => {
    await listener.drain(AbortSignal.abort());
    await rm(folder, { recursive: true });
  });

  const onSocket = async (): Promise<RawConnection> => {
    const path = join(folder, 's');
    await listener.listenOnSocket({ path, mode: 0o600 });
    return connectRaw({ kind: 'unix', path });
  };
  const onTls = async (): Promise<RawConnection> => {
    const { port } = await listener.listen('127.0.0.1', 0, compatTls(await createTestIdentity()));
    const address: RawAddress = { kind: 'tls', host: '127.0.0.1', port };
    return connectRaw(address);
  };

  it(`are served ${maxPipelined} at a time, and the next one is refused behind their answers`, async () => {
    await using connection = await onSocket();
    await connection.send(get.repeat(2_000));
    await eventually(() => equal(waiting.length, maxPipelined));
    // What comes later is not parsed either.
    await connection.send(get.repeat(100));
    await sleep(50);
    for (const res of waiting) res.end('ok');
    const text = (await connection.rest()).toString();
    deepEqual(text.match(/HTTP\/1\.1 \d+/g), [
      ...Array.from({ length: maxPipelined }, () => 'HTTP/1.1 200'),
      'HTTP/1.1 503',
    ]);
    match(text, /\r\nListener: this\r\n[\s\S]*\r\nConnection: close\r\n\r\n\{"message":"flotilla: .*"\}\n$/);
    equal(seen.length, maxPipelined);
  });

  for (const [where, open] of [
    ['a unix socket', onSocket],
    ['TLS', onTls],
  ] as const) {
    for (const [name, head] of hijacks) {
      it(`let ${name} on ${where} not into an answer that is unfinished`, async () => {
        await using connection = await open();
        await connection.send(`${get}${head}input`);
        await eventually(() => equal(waiting.length, 1));
        await sleep(20);
        waiting[0]?.end('SLOW!');
        const text = (await connection.rest()).toString();
        match(text, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nSLOW!HTTP\/1\.1 400 [\s\S]*\r\nConnection: close\r\n/);
        deepEqual(seen, ['request GET']);
      });
    }

    it(`of a client on ${where} that waits for its answers may hijack at any time`, async () => {
      await using connection = await open();
      serve = (res) => res.end('x'.repeat(2_000_000));
      for (let round = 0; round < 2 * maxPipelined; round += 1) {
        await connection.send(get);
        equal((await connection.answer()).body.length, 2_000_000);
      }
      await connection.send(attach);
      equal((await connection.rest()).toString(), hijacked);
    });
  }

  it('may hijack behind an answer that is written, though we are yet to be told that it has left', async () => {
    await using connection = await onSocket();
    serve = (res) => res.end('ok');
    await connection.send(`${get}${attach}`);
    match(
      (await connection.rest()).toString(),
      /^HTTP\/1\.1 200 OK[\s\S]*\r\n\r\nokHTTP\/1\.1 200 OK[\s\S]*HIJACKED$/,
    );
  });

  it('get a long answer in whole before the refusal of a hijack', async () => {
    await using connection = await onSocket();
    const chunk = Buffer.alloc(64 * 1024, 'x');
    serve = (res) => {
      const long = Readable.from(Array.from({ length: 200 }, () => chunk));
      setImmediate(() => void pipe(long, res).catch(() => undefined));
    };
    await connection.send(`${get}${get}${attach}`);
    const sizes = [(await connection.answer()).body.length, (await connection.answer()).body.length];
    deepEqual(sizes, [200 * chunk.length, 200 * chunk.length]);
    equal((await connection.answer()).status, 400);
  });

  it('are all told when their client leaves, once one of them was refused', async () => {
    const connection = await onSocket();
    await connection.send(`${get}${get}${get}${attach}`);
    await eventually(() => equal(waiting.length, 3));
    const closed = Promise.all(waiting.map((res) => once(res, 'close')));
    connection.socket.destroy();
    await closed;
    ok(waiting.every((res) => !res.writableFinished));
    deepEqual(seen, ['request GET', 'request GET', 'request GET']);
  });
});
