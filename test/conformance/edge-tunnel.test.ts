// The tunnel to a chisel server that was written from the protocol's description alone.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { eventually } from '../support/eventually.ts';
import { echoed, startTunnelBed } from '../support/tunnel-bed.ts';
import { tunnelCases } from '../support/tunnel-cases.ts';
import { startChiselTunnelServer as startServer } from '../support/tunnel-servers.ts';
import { tunnelVectors } from '../support/tunnel-vectors.ts';

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
      await bed.until('waiting');
      const state = bed.tunnel.state();
      assert.match(state.kind === 'waiting' ? state.reason : state.kind, reason);
      await bed.opened();
    });
  }
});
