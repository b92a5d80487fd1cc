// What a client sees of an ordinary exchange when its upstream answers oddly; the good cases are held by
// test/conformance.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Pool } from 'undici';
import { relay } from './relay.ts';

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
      relay(pool, request, req, res, { headers: [], answerHeaders: [], onUnreachable });
    });
    const answer = await fetch(`http://127.0.0.1:${await listen(front)}/`, {
      headers: { Connection: 'close' },
      signal: AbortSignal.timeout(1_500),
    });
    return { status: answer.status, body: await answer.text() };
  };

  for (const reason of ['', 'O\x01K', '\xe9', '\xc3\xa9', '\xe2\x82\xac', 'a\0b']) {
    it(`answers, whatever the upstream's reason phrase is: ${JSON.stringify(reason)}`, async () => {
      const { status, body } = await ask(`HTTP/1.1 200 ${reason}\r\nContent-Length: 2\r\n\r\nok`);
      assert.deepEqual([status, body], [200, 'ok']);
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
