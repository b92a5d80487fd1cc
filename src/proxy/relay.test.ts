// What a client sees of an ordinary exchange when its upstream answers oddly; the good cases are held by
// test/conformance.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Pool } from 'undici';
import { undiciDispatch } from './raw-handler.ts';
import { type RelayOptions, relay } from './relay.ts';

describe('relay', () => {
  const closing: (() => unknown)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  const listen = async (server: net.Server): Promise<number> => {
    server.listen(0, '127.0.0.1');
    closing.push(() => server.close());
    await once(server, 'listening');
    return (server.address() as net.AddressInfo).port;
  };

  /** The answer that a client gets of an upstream that answers with these bytes. */
  const ask = async (bytes: string): Promise<{ readonly status: number; readonly body: string }> => {
    const upstream = net.createServer((socket) => {
      closing.push(() => socket.destroy());
      socket.on('error', () => undefined).once('data', () => socket.write(Buffer.from(bytes, 'latin1')));
    });
    const pool = new Pool(`http://127.0.0.1:${await listen(upstream)}`);
    closing.push(() => void pool.destroy());
    const front = http.createServer((req, res) => {
      const request = { method: 'GET', path: '/', rawHeaders: [] };
      const onUnreachable = (): unknown => res.writeHead(502).end();
      relay(undiciDispatch(pool), request, req, res, { headers: [], answerHeaders: [], onUnreachable });
    });
    const answer = await fetch(`http://127.0.0.1:${await listen(front)}/`, {
      headers: { Connection: 'close' },
      signal: AbortSignal.timeout(15_000),
    });
    return { status: answer.status, body: await answer.text() };
  };

  for (const reason of ['', 'O\x01K', '\xe9', '\xc3\xa9', '\xe2\x82\xac', 'a\0b']) {
    it(`answers, whatever the upstream's reason phrase is: ${JSON.stringify(reason)}`, async () => {
      const { status, body } = await ask(`HTTP/1.1 200 ${reason}\r\nContent-Length: 2\r\n\r\nok`);
      assert.deepEqual([status, body], [200, 'ok']);
    });
  }

  /** A front that relays to an upstream made of this listener; the port to ask it at. */
  const relayTo = async (
    upstream: http.RequestListener,
    optionsOf: (req: http.IncomingMessage, res: http.ServerResponse) => Promise<Partial<RelayOptions>>,
  ): Promise<{ readonly port: number; readonly upstream: http.Server }> => {
    const server = http.createServer(upstream);
    const pool = new Pool(`http://127.0.0.1:${await listen(server)}`);
    closing.push(() => void pool.destroy());
    const serve = async (req: http.IncomingMessage, res: http.ServerResponse): Promise<void> => {
      const options = await optionsOf(req, res);
      const request = { method: req.method ?? '', path: req.url ?? '', rawHeaders: [] };
      relay(undiciDispatch(pool), request, req, res, {
        headers: req.rawHeaders.filter((_, at) => /^content-/i.test(req.rawHeaders[at - (at % 2)] ?? '')),
        answerHeaders: [],
        onUnreachable: () => res.writeHead(502).end(),
        ...options,
      });
    };
    const front = http.createServer((req, res) => void serve(req, res).catch((error) => res.destroy(error)));
    return { port: await listen(front), upstream: server };
  };

  const get = (port: number, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(15_000), ...init });

  it('drops an answer that is declined, lets somebody else answer, and keeps the connection', async () => {
    const asked = new Set<unknown>();
    const { port } = await relayTo(
      (req, res) => {
        asked.add(req.socket);
        res.writeHead(404, { 'X-Upstream': '1' }).end('no such container');
      },
      async (_req, res) => ({
        decline: { status: 404, onDeclined: () => res.writeHead(200).end('from elsewhere') },
      }),
    );
    for (let i = 0; i < 3; i += 1) {
      const answer = await get(port);
      assert.deepEqual(
        [answer.status, answer.headers.get('x-upstream'), await answer.text()],
        [200, null, 'from elsewhere'],
      );
    }
    assert.equal(asked.size, 1);
  });

  it('relays an answer of a status that is not declined', async () => {
    const { port } = await relayTo(
      (_req, res) => res.writeHead(409).end('conflict'),
      async () => ({ decline: { status: 404, onDeclined: () => assert.fail('declined') } }),
    );
    const answer = await get(port);
    assert.deepEqual([answer.status, await answer.text()], [409, 'conflict']);
  });

  it('ends the connection of a declined answer that goes on and on', async () => {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const { port } = await relayTo(
      (_req, res) => {
        res.writeHead(404);
        const more = (): void => {
          while (!res.destroyed && res.write(Buffer.alloc(4_096)));
        };
        res.on('drain', more).once('close', resolve);
        more();
      },
      async (_req, res) => ({
        // Never answered here: the client's departure must not be what ends it.
        decline: { status: 404, onDeclined: () => res.writeHead(200).flushHeaders() },
      }),
    );
    const answer = await get(port);
    assert.equal(answer.status, 200);
    await ended;
    await answer.body?.cancel();
  });

  it('ends the connection of a declined answer that stays silent, once the client is served', async () => {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const { port } = await relayTo(
      (_req, res) => {
        res.writeHead(404).write('no');
        res.once('close', resolve);
      },
      async (_req, res) => ({ decline: { status: 404, onDeclined: () => res.writeHead(200).end('yes') } }),
    );
    assert.equal(await (await get(port, { headers: { Connection: 'close' } })).text(), 'yes');
    await ended;
  });

  for (const [name, body] of [
    ['of a known length', 'four'],
    ['that came chunked', new Blob(['fo', 'ur']).stream()],
    ['that is empty', ''],
  ] as const) {
    it(`sends a body that was read, ${name}`, async () => {
      const { port } = await relayTo(
        (req, res) => {
          const { 'content-length': length, 'content-type': type, 'transfer-encoding': coding } = req.headers;
          let text = '';
          req.on('data', (piece) => {
            text += piece;
          });
          req.on('end', () => res.end(JSON.stringify([length, type, coding ?? null, text])));
        },
        async (req) => ({ body: Buffer.concat(await req.toArray()) }),
      );
      const headers = { 'Content-Type': 'application/json' };
      const answer = await get(port, { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
      const text = body === '' ? '' : 'four';
      assert.deepEqual(await answer.json(), [String(text.length), 'application/json', null, text]);
    });
  }

  it('takes what is no answer for none', async () => {
    for (const bytes of [
      'HTTP/1.1 099 X\r\n\r\n',
      'HTTP/1.1 101 X\r\nUpgrade: tcp\r\n\r\n',
      'garbage\r\n\r\n',
    ])
      assert.equal((await ask(bytes)).status, 502, bytes);
  });
});
