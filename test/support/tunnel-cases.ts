// What a tunnel does whatever its transport: carrying, limits, faults and what comes after them, and its end.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import {
  type BedOptions,
  dial,
  echoed,
  encryptCredentials,
  startTunnelBed,
  type TunnelBed,
  type TunnelServer,
} from './tunnel-bed.ts';

const deadPeerMs = 30_000;
/** Two of Portainer's usual poll intervals. */
const recoveryMs = 10_000;
/** For what takes seconds also where the machine has time. */
const longerMs = 20_000;
/** What comes of the server's process has a second for the ten that the tunnel gives it. */
const speed = 10;

export function tunnelCases(startServer: () => Promise<TunnelServer>): void {
  const startBed = (options: Omit<BedOptions, 'startServer'> = {}): Promise<TunnelBed> =>
    startTunnelBed({ startServer, ...options });

  it('carries bytes both ways', async () => {
    await using bed = await startBed();
    await bed.opened();
    const bytes = randomBytes(8 * 1024 * 1024);
    assert.ok((await echoed(bed.order.port, bytes)).equals(bytes));
    await eventually(() => assert.equal(bed.api.connections(), 0));
    const idle = { kind: 'open', port: bed.order.port, sinceMs: 0, channels: 0 };
    await eventually(() => assert.deepEqual({ ...bed.tunnel.state(), sinceMs: 0 }, idle));
  });

  it('E12 carries a hundred connections at once', async () => {
    await using bed = await startBed();
    await bed.opened();
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const bytes = randomBytes(100_000);
        return (await echoed(bed.order.port, bytes)).equals(bytes);
      }),
    );
    assert.equal(answers.filter(Boolean).length, 100);
    await eventually(() => assert.equal(bed.api.connections(), 0));
  });

  it('E12 answers 500 short requests, 50 at a time, without losing a connection', async () => {
    const http = createServer((request, response) => response.end(`answer to ${request.url ?? ''}`));
    await using bed = await startBed({ onSocket: (socket) => void http.emit('connection', socket) });
    await bed.opened();
    let next = 0;
    const failures: unknown[] = [];
    const worker = async (): Promise<void> => {
      // A connection per request: the tunnel is asked for 500 channels.
      for (let i = next++; i < 500; i = next++) {
        const text = await ask(bed.order.port, `/${i}`).catch((error: unknown) => String(error));
        if (text !== `answer to /${i}`) failures.push(text);
      }
    };
    await Promise.all(Array.from({ length: 50 }, worker));
    assert.deepEqual(failures, []);
    assert.equal(bed.tunnel.state().kind, 'open');
  });

  it('stops reading our side when nobody reads the other one', async () => {
    let written = 0;
    await using bed = await startBed({
      onSocket(socket): void {
        const chunk = Buffer.alloc(64 * 1024);
        const fill = (): void => {
          while (!socket.destroyed && socket.write(chunk)) written += chunk.length;
          written += chunk.length;
        };
        socket.on('drain', fill);
        fill();
      },
    });
    await bed.opened();
    const client = await dial(bed.order.port);
    client.pause();
    let before = -1;
    // As much as fits: socket buffers of five sockets, one window at each end.
    await eventually(
      () => {
        const grew = written !== before;
        before = written;
        return !grew;
      },
      { everyMs: 300 },
    );
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes taken`);
    // The tunnel is not blocked for others.
    const other = await dial(bed.order.port);
    await once(other, 'data');
    client.destroy();
    other.destroy();
  });

  it('E5 works again after the server was restarted', async () => {
    await using bed = await startBed({ speed: 4 });
    await bed.opened();
    await bed.server.stop();
    await bed.until('waiting');
    await bed.server.start();
    const sinceMs = bed.nowMs();
    await works(bed);
    assert.ok(bed.nowMs() - sinceMs < recoveryMs * 2, `${bed.nowMs() - sinceMs} ms`);
  });

  it('E5 works again after its connection was cut, and cuts what went through it', async () => {
    await using bed = await startBed();
    await bed.opened();
    const client = await dial(bed.order.port);
    client.write('x');
    await once(client, 'data');
    const closed = once(client, 'close');
    client.on('error', () => undefined);
    client.on('end', () => client.end());
    const logins = bed.server.logins();
    bed.path.cut();
    await closed;
    await eventually(() => assert.equal(bed.api.connections(), 0));
    // Until it has taken everything down it still calls itself open.
    await eventually(() => bed.server.logins() > logins);
    await works(bed);
  });

  it('E5 notices within 30 s that nothing comes through any more, and works again once it does', async () => {
    await using bed = await startBed({ speed });
    await bed.opened();
    const client = await dial(bed.order.port);
    client.on('error', () => undefined);
    client.write('x');
    await once(client, 'data');
    const sinceMs = bed.nowMs();
    bed.path.blackHole();
    // It waits for a moment only before it tries again.
    await eventually(() => bed.tunnel.state().kind !== 'open');
    const noticedMs = bed.nowMs() - sinceMs;
    assert.ok(noticedMs <= deadPeerMs, `${noticedMs} ms`);
    assert.match(bed.reasons().join('\n'), /silent for \d+ s/);
    await eventually(() => assert.equal(bed.api.connections(), 0));
    bed.path.heal();
    await works(bed);
    client.destroy();
  });

  it('stays open when there is nothing to carry for a long time', async () => {
    await using bed = await startBed({ speed });
    await bed.opened();
    const sinceMs = bed.nowMs();
    await eventually(() => bed.nowMs() - sinceMs > 1.5 * deadPeerMs, { withinMs: longerMs });
    assert.equal(bed.tunnel.state().kind, 'open');
    assert.equal(bed.server.logins(), 1);
  });

  it('E4 tells a server with another host key nothing', async () => {
    await using bed = await startBed();
    bed.tunnel.open({ ...bed.order, fingerprint: Buffer.alloc(32, 7).toString('base64') });
    await bed.until('waiting');
    assert.match(stateReason(bed), /fingerprint .* is not the one of the Edge key/);
    assert.equal(bed.server.logins(), 0);
  });

  it('says that its credentials are refused, and takes the next ones at once', async () => {
    await using bed = await startBed();
    bed.tunnel.open({ ...bed.order, credentials: encryptCredentials(bed.server.user, 'wrong') });
    await bed.until('waiting');
    assert.match(stateReason(bed), /credentials refused/);
    await bed.opened();
  });

  it('says that credentials were made for another Edge ID, tells the server nothing, and takes the next ones', async () => {
    await using bed = await startBed();
    const credentials = encryptCredentials('user', 'password', 'another');
    bed.tunnel.open({ ...bed.order, credentials });
    await bed.until('waiting');
    assert.match(stateReason(bed), /^decrypt tunnel credentials: they were made for another Edge ID$/);
    assert.equal(bed.server.logins(), 0);
    await works(bed);
  });

  it('E5 waits for a port that is taken', async () => {
    await using bed = await startBed();
    const taker = createNetServer().listen(bed.order.port, '127.0.0.1');
    await once(taker, 'listening');
    const taker6 = createNetServer().listen(bed.order.port, '::1');
    await Promise.race([once(taker6, 'listening'), once(taker6, 'error')]);
    bed.tunnel.open(bed.order);
    await bed.until('waiting');
    assert.match(stateReason(bed), /listen/);
    taker.close();
    taker6.close();
    await works(bed);
  });

  it('E3 serves another port at once, with a stream still open on the one before', async () => {
    await using bed = await startBed();
    await bed.opened();
    const client = await dial(bed.order.port);
    client.on('error', () => undefined);
    client.write('x');
    await once(client, 'data');
    const closed = once(client, 'close');
    client.on('end', () => client.end());
    const port = await freePort();
    bed.server.allow(port);
    bed.tunnel.open({ ...bed.order, port });
    await eventually(() => {
      const state = bed.tunnel.state();
      return state.kind === 'open' && state.port === port;
    });
    await closed;
    const bytes = randomBytes(10_000);
    assert.ok((await echoed(port, bytes)).equals(bytes));
  });

  it('E6 closes when unused for its time, and never while in use', async () => {
    await using bed = await startBed({ tunnel: { inactivityMs: 10_000 }, speed });
    await bed.opened();
    const client = await dial(bed.order.port);
    client.write('x');
    await once(client, 'data');
    const sinceMs = bed.nowMs();
    await eventually(() => bed.nowMs() - sinceMs > 3 * 10_000, { withinMs: longerMs });
    assert.equal(bed.tunnel.state().kind, 'open');
    client.destroy();
    await bed.until('closed');
    assert.deepEqual(bed.tunnel.state(), { kind: 'closed', why: 'inactive' });
    await bed.opened();
  });

  it('leaves no socket and no timer behind when it is closed in use', async () => {
    await using bed = await startBed();
    // The server was asked whether it listens.
    await eventually(() => assert.equal(resources().includes('TCPSocketWrap'), false));
    const before = resources();
    await bed.opened();
    const clients = await Promise.all(Array.from({ length: 20 }, () => dial(bed.order.port)));
    for (const client of clients) {
      client.on('error', () => undefined);
      client.write('x');
      await once(client, 'data');
    }
    await bed.tunnel.close();
    await bed.tunnel.close();
    assert.deepEqual(bed.tunnel.state(), { kind: 'closed', why: 'not-wanted' });
    for (const client of clients) client.destroy();
    bed.path.cut();
    await eventually(() => assert.equal(bed.api.connections(), 0));
    await eventually(() => assert.deepEqual(resources(), before));
  });

  it('can be opened and closed at any time', async () => {
    await using bed = await startBed();
    for (let i = 0; i < 10; i += 1) {
      bed.tunnel.open(bed.order);
      if (i % 3 === 0) await bed.until('open');
      else if (i % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
      void bed.tunnel.close();
    }
    await works(bed);
  });
}

async function works(bed: TunnelBed): Promise<void> {
  await bed.opened();
  const bytes = randomBytes(10_000);
  assert.ok((await echoed(bed.order.port, bytes)).equals(bytes));
}

function stateReason({ tunnel }: TunnelBed): string {
  const state = tunnel.state();
  return state.kind === 'waiting' ? state.reason : state.kind;
}

/** What keeps the process alive, except what every test has. */
function resources(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /TCPSocket|TCPConnect|Timeout|TLS/.test(name))
    .toSorted();
}

function ask(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const request = get({ host: '127.0.0.1', port, path, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}
