// What becomes of a connection after an answer of our own to a hijack; everything else is held by test/conformance.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import { answer } from './exchange.ts';

describe('answer', () => {
  it('ends the connection of a hijack, also when the client goes on sending for ever', async () => {
    const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect({ port: (server.address() as net.AddressInfo).port, allowHalfOpen: true });
    // What it sends after the end is reset.
    client.on('error', () => undefined);
    const sending = setInterval(() => client.write('x'), 50);
    try {
      const [socket] = (await once(server, 'connection')) as [net.Socket];
      const closed = once(socket, 'close');
      // An answer looks at nothing of the request but its method, and at that only outside of hijacks.
      const req = { method: 'POST' } as IncomingMessage;
      answer(
        { kind: 'upgrade', req, socket, head: Buffer.alloc(0) },
        { status: 403, headers: [], body: 'no' },
      );
      // Read without an iterator, which would destroy the client at the end.
      let text = '';
      client.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      await once(client, 'end');
      assert.ok(text.startsWith('HTTP/1.1 403 Forbidden\r\n') && text.endsWith('\r\n\r\nno'), text);
      await closed;
    } finally {
      clearInterval(sending);
      client.destroy();
      server.close();
    }
  }).timeout(10_000);
});
