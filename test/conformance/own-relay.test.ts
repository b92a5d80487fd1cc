// What a member gets of a client's request, and what the client gets of a member that breaks off.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { Agent } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import { createRelay } from '../../src/api/own-relay.ts';
import { requestHeaders, toEngine } from '../../src/proxy/headers.ts';
import { memberOf } from '../support/fake-peer.ts';

interface Relayed extends AsyncDisposable {
  /** What came back until the connection ended. */
  ask(bytes: string): Promise<string>;
}

/** A front that relays everything to a member, which is a server without TLS. */
async function startRelay(member: Server): Promise<Relayed> {
  const memberPort = await listening(member);
  const agent = new Agent({ keepAlive: false });
  agent.createConnection = () => connect(memberPort, '127.0.0.1');
  const relay = createRelay(
    {
      peerAgent: () => agent,
      travelling: (raw) => requestHeaders(raw, toEngine),
      fail: ({ req }) => void req.socket.destroy(),
    },
    { answerHeaders: [] },
  );
  const front = createServer((req, res) =>
    relay({ kind: 'request', req, res }, memberOf({ nodeName: 'b' }), req.url ?? ''),
  );
  const port = await listening(front);
  return {
    async ask(bytes): Promise<string> {
      const client = connect(port, '127.0.0.1');
      client.write(bytes);
      let got = '';
      client.on('error', () => undefined);
      client.on('data', (chunk: Buffer) => {
        got += chunk.toString();
      });
      await once(client, 'close');
      return got;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      front.closeAllConnections();
      front.close();
      member.close();
      await once(front, 'close');
    },
  };
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function recording(seen: string[], answer: RequestListener): Server {
  return createServer((req, res) => {
    req.setEncoding('utf8');
    let body = '';
    req.on('data', (text: string) => {
      body += text;
    });
    req.on('end', () => {
      seen.push(`${req.method} ${req.url} ${JSON.stringify(body)}`);
      answer(req, res);
    });
  });
}

describe('relay of own routes', () => {
  const hidden = 'POST /_flotilla/association HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}';
  const chunked = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`;
  const framings: readonly (readonly [string, string, string])[] = [
    ['chunked', 'Transfer-Encoding: chunked', chunked],
    ['of a length', `Content-Length: ${hidden.length}`, hidden],
  ];
  for (const method of ['DELETE', 'GET']) {
    for (const [what, header, body] of framings) {
      it(`hands a member one request, whatever a ${method} carries behind it: a body ${what}`, async () => {
        const seen: string[] = [];
        await using relay = await startRelay(recording(seen, (_req, res) => res.end('done')));
        const kept = `${method} /browse/x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n${header}\r\n\r\n${body}`;
        const last = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
        const got = await relay.ask(`${kept}${last}`);
        assert.deepEqual(seen.toSorted(), [`${method} /browse/x ""`, 'GET /last ""'].toSorted());
        assert.equal(got.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
        assert.match(got, /Connection: keep-alive[\s\S]*Connection: close/i);
      });
    }
  }

  it('passes a body on, of a length and chunked, and not what the client nominates', async () => {
    const seen: string[] = [];
    await using relay = await startRelay(
      recording(seen, (req, res) => res.end(`${req.headers['x-mine']} ${req.headers['x-yours']}`)),
    );
    const head =
      'POST /browse/put HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\nX-Yours: 2\r\nConnection: close, X-Mine\r\n';
    for (const rest of [
      'Content-Length: 5\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    ])
      assert.match(await relay.ask(`${head}${rest}`), /undefined 2/);
    assert.deepEqual(seen, ['POST /browse/put "hello"', 'POST /browse/put "hello"']);
  });

  it('cuts the client off when the member breaks off within its answer', async () => {
    const member = createTcpServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf');
        setTimeout(() => socket.destroy(), 50);
      });
    });
    await using relay = await startRelay(member);
    assert.match(await relay.ask('GET /browse/get HTTP/1.1\r\nHost: a\r\n\r\n'), /half$/);
  });
});
