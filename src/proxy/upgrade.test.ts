// What a client sees of a hijack when its upstream misbehaves; the good cases are held by test/conformance.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { eventually } from '../../test/support/eventually.ts';
import { toEngineUpgrade } from './headers.ts';
import { presenceProbeMs, splice } from './upgrade.ts';

type Upstream = (socket: net.Socket) => void;

describe('splice', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  const serve = async (onSocket: (socket: net.Socket) => void): Promise<number> => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      closing.push(() => socket.destroy());
      onSocket(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => server.close());
    return (server.address() as net.AddressInfo).port;
  };
  const dialTo = (port: number) => async (): Promise<Duplex> => {
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  };

  /** What the client reads, to the end, when the upstream behaves like this. */
  const read = async (upstream: Upstream, clientSends = ''): Promise<string> => {
    const dial = dialTo(await serve(upstream));
    const front = await serve((client) => {
      const request = { method: 'POST', path: '/exec/x/start', rawHeaders: ['Host', 'docker'] };
      void splice(request, client, Buffer.alloc(0), {
        dial,
        rules: toEngineUpgrade,
        answerHeaders: ['Portainer-Agent', '2.23.0'],
        onUnreachable: () => client.end('unreachable'),
      });
    });
    const client = (await dialTo(front)()) as net.Socket;
    closing.push(() => client.destroy());
    client.write(clientSends);
    let text = '';
    for await (const chunk of client.setEncoding('latin1')) text += chunk;
    return text;
  };
  const onRequest =
    (act: Upstream): Upstream =>
    (socket) =>
      socket.once('data', () => act(socket));
  const hijacked = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n';

  const silent: readonly [string, Upstream][] = [
    ['closes', onRequest((socket) => socket.end())],
    ['resets', onRequest((socket) => socket.resetAndDestroy())],
    ['sends what is no HTTP', onRequest((socket) => socket.end('garbage\r\n\r\n'))],
    ['closes within its head', onRequest((socket) => socket.end('HTTP/1.1 101 UPGR'))],
  ];
  for (const [name, upstream] of silent) {
    it(`answers for an upstream that ${name} before it has answered`, async () => {
      assert.equal(await read(upstream), 'unreachable');
    });
  }

  it('delivers everything that an upstream sent before it closed', async () => {
    const body = 'x'.repeat(1_000_000);
    const text = await read(onRequest((socket) => socket.end(`${hijacked}${body}`)));
    assert.ok(text.startsWith('HTTP/1.1 101 UPGRADED\r\nPortainer-Agent: 2.23.0\r\n'));
    assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, body.length);
  });

  /** An upstream that answers each request it sees, as a server with keep-alive does. */
  const answering =
    (first: string, received: { text: string }): Upstream =>
    (socket) => {
      socket.on('data', (bytes) => {
        if (received.text === '') socket.write(first);
        received.text += bytes.toString('latin1');
      });
      socket.on('end', () => socket.end());
    };
  const second = 'GET /secret HTTP/1.1\r\nHost: docker\r\n\r\n';

  it('relays an answer that is no hijack, closes, and lets no second request through', async () => {
    const received = { text: '' };
    const text = await read(
      answering('HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone', received),
      second,
    );
    assert.ok(text.endsWith('\r\nConnection: close\r\n\r\nnone'), text);
    assert.ok(!received.text.includes('GET /secret'), received.text);
  });

  it('ends its client when an upstream cuts off the answer that refuses', async () => {
    const refused = 'HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{"mess';
    const text = await read(onRequest((socket) => socket.end(refused)));
    assert.ok(text.endsWith('\r\n\r\n{"mess'), text);
  });

  const leavers: readonly (readonly [string, string, (client: net.Socket) => void])[] = [
    ['leaves within its body', '{"De', (client) => client.destroy()],
    ['ends within its body', '{"De', (client) => client.end()],
    [
      'leaves behind its body, while nothing is answered',
      '{"Detach":false    }',
      (client) => client.destroy(),
    ],
  ];
  for (const [name, body, leave] of leavers) {
    it(`lets go of both connections when a client on a unix socket ${name}`, async () => {
      const arrived = Promise.withResolvers<net.Socket>();
      const dial = dialTo(
        await serve((socket) => {
          socket.once('end', () => socket.end());
          socket.once('data', () => arrived.resolve(socket));
        }),
      );
      const folder = await mkdtemp(join(tmpdir(), 'splice-'));
      closing.push(() => void rm(folder, { recursive: true }));
      const path = join(folder, 's');
      const fronts: net.Socket[] = [];
      const front = net.createServer({ allowHalfOpen: true }, (client) => {
        fronts.push(client);
        const rawHeaders = ['Host', 'docker', 'Content-Length', '20'];
        void splice({ method: 'POST', path: '/exec/x/start', rawHeaders }, client, Buffer.alloc(0), {
          dial,
          rules: toEngineUpgrade,
          answerHeaders: [],
          onUnreachable: () => client.end(),
        });
      });
      front.listen(path);
      await once(front, 'listening');
      closing.push(() => front.close());
      const client = net.connect({ path, allowHalfOpen: true });
      closing.push(() => client.destroy());
      client.on('error', () => undefined).write(body);
      const upstream = await arrived.promise;
      leave(client);
      await eventually(() => upstream.closed && fronts.length === 1 && fronts[0]?.closed === true);
    });
  }

  it('waits for the answer to a client that has ended its input', async () => {
    const upstream = onRequest((socket) => {
      setTimeout(() => socket.end(`${hijacked}late`), 1.5 * presenceProbeMs);
    });
    const dial = dialTo(await serve(upstream));
    const front = await serve((client) => {
      const request = { method: 'POST', path: '/exec/x/start', rawHeaders: ['Host', 'docker'] };
      const options = { dial, rules: toEngineUpgrade, answerHeaders: [], onUnreachable: () => client.end() };
      void splice(request, client, Buffer.alloc(0), options);
    });
    const client = (await dialTo(front)()) as net.Socket;
    closing.push(() => client.destroy());
    client.end('input');
    let text = '';
    for await (const chunk of client.setEncoding('latin1')) text += chunk;
    assert.equal(text, `${hijacked}late`);
  });

  it('sends a body that came with its head in one piece with it, and the rest behind the hijack', async () => {
    const pieces: string[] = [];
    const head = Buffer.from('{"Tty":true}typed');
    const dial = dialTo(
      await serve((socket) => {
        socket.on('data', (bytes) => {
          pieces.push(bytes.toString('latin1'));
          if (pieces.length === 1) socket.write(hijacked);
          else socket.end();
        });
      }),
    );
    const front = await serve((client) => {
      const request = {
        method: 'POST',
        path: '/containers/x/attach',
        rawHeaders: ['Host', 'd\u00f6cker', 'Content-Length', '12'],
      };
      const options = { dial, rules: toEngineUpgrade, answerHeaders: [], onUnreachable: () => client.end() };
      void splice(request, client, head, options);
    });
    const client = (await dialTo(front)()) as net.Socket;
    closing.push(() => client.destroy());
    for await (const _ of client);
    assert.equal(pieces.length, 2);
    assert.match(pieces[0] ?? '', /^POST [\s\S]*d\u00f6cker[\s\S]*\r\n\r\n\{"Tty":true\}$/);
    assert.equal(pieces[1], 'typed');
  });

  it('hands early bytes to an upstream that hijacks, as its stdin', async () => {
    const received = { text: '' };
    const upstream = answering(hijacked, received);
    await read((socket) => {
      upstream(socket);
      // Ends once everything is there, so that the client's read ends.
      socket.on('data', () => {
        if (received.text.endsWith(second)) socket.end();
      });
    }, second);
    assert.ok(received.text.endsWith(`\r\n\r\n${second}`));
  });
});
