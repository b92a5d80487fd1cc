// The tunnel to a chisel server that was written from the protocol's description alone.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { eventually } from '../support/eventually.ts';
import { dial, echoed, startTunnelBed } from '../support/tunnel-bed.ts';
import { tunnelCases } from '../support/tunnel-cases.ts';
import {
  type ChiselTunnelServer,
  startChiselTunnelServer as startServer,
} from '../support/tunnel-servers.ts';
import { tunnelVectors } from '../support/tunnel-vectors.ts';

const startNewer = (): Promise<ChiselTunnelServer> => startServer('127.0.0.1', { halfCloses: true });

async function askAndEnd(port: number): Promise<string> {
  const socket = await dial(port);
  socket.end('question');
  const said: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) said.push(chunk);
  return Buffer.concat(said).toString();
}

describe('tunnel to a chisel server', () => {
  tunnelCases(startServer);

  it('E4 knows the server by the older form of its fingerprint too', async () => {
    await using bed = await startTunnelBed({ startServer });
    await bed.opened({ ...bed.order, fingerprint: tunnelVectors.chisel.fingerprintMd5Colon });
  });

  it('carries on while keys are exchanged again', async () => {
    const server = await startServer();
    await using bed = await startTunnelBed({ startServer: () => Promise.resolve(server) });
    await bed.opened();
    const bytes = randomBytes(8 * 1024 * 1024);
    const answer = echoed(bed.order.port, bytes);
    await eventually(() => assert.equal(server.chisel().channels(), 1));
    for (let i = 0; i < 5; i += 1) await eventually(() => server.chisel().rekey(), { everyMs: 1 });
    assert.ok((await answer).equals(bytes));
  });

  it('opens nothing but its own API, whatever the server names', async () => {
    const server = await startServer();
    await using bed = await startTunnelBed({ startServer: () => Promise.resolve(server) });
    await bed.opened();
    const refused = 92;
    for (const target of [
      '127.0.0.1:22',
      '10.0.1.5:9002',
      '10.0.1.5:9001/udp',
      'socks',
      '',
      '169.254.169.254:80',
    ]) {
      assert.equal(await server.chisel().probe('chisel', target), refused, target);
    }
    for (const type of ['session', 'direct-tcpip', 'forwarded-tcpip', 'x11']) {
      assert.equal(await server.chisel().probe(type, '10.0.1.5:9001'), refused, type);
    }
    assert.equal(bed.api.connections(), 0);
  });

  /** Answers when it has heard all; what it writes after that is counted as any other. */
  const answerAtEnd = (socket: Socket): void => {
    socket.resume();
    socket.on('end', () => setTimeout(() => socket.end('answer'), 50));
  };

  it('ends both directions for a server that closes at the end of one', async () => {
    await using bed = await startTunnelBed({ startServer, onSocket: answerAtEnd });
    await bed.opened();
    assert.equal(await askAndEnd(bed.order.port), '');
    await eventually(() => assert.equal(bed.api.connections(), 0));
  });

  it('answers through a server that tells the end of one direction', async () => {
    await using bed = await startTunnelBed({ startServer: startNewer, onSocket: answerAtEnd });
    await bed.opened();
    assert.equal(await askAndEnd(bed.order.port), 'answer');
    await eventually(() => assert.equal(bed.api.connections(), 0));
    const state = bed.tunnel.state();
    assert.ok(state.kind === 'open' && state.channels === 0);
  });

  it('ends what has no end of its own when such a server closes after all', async () => {
    const goOn = (socket: Socket): void => {
      socket.resume();
      const timer = setInterval(() => socket.write('line\n'), 20);
      socket.on('close', () => clearInterval(timer));
    };
    await using bed = await startTunnelBed({ startServer: startNewer, onSocket: goOn });
    await bed.opened();
    const client = await dial(bed.order.port);
    client.on('error', () => undefined);
    client.end('question');
    let lines = 0;
    client.on('data', () => {
      lines += 1;
    });
    await eventually(() => lines > 5);
    client.destroy();
    await eventually(() => assert.equal(bed.api.connections(), 0));
  });

  const strangers: readonly (readonly [string, (socket: Socket) => void, RegExp])[] = [
    ['is no websocket', (socket) => socket.end('HTTP/1.1 404 Not Found\r\n\r\n'), /404/],
    ['is a broken proxy', (socket) => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'), /502/],
    ['speaks no HTTP', (socket) => socket.end('garbage\r\n\r\n'), /open tunnel at/],
    ['closes at once', (socket) => socket.destroy(), /open tunnel at/],
    ['says nothing', () => undefined, /not open after 20000 ms/],
  ];
  for (const [what, onSocket, reason] of strangers) {
    it(`says what is wrong with a server that ${what}, and finds the right one afterwards`, async () => {
      await using bed = await startTunnelBed({ startServer, speed: 50, onSocket });
      bed.tunnel.open({ ...bed.order, tunnelAddress: `127.0.0.1:${bed.api.port}` });
      // An attempt that the machine held up ran out of its time, and said that.
      await eventually(() => assert.match(bed.reasons().join('\n'), reason));
      await bed.opened();
    });
  }
});
