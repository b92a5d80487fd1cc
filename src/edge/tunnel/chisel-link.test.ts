// A chisel server that turns hostile at the worst moment: between the login and what we would ask next.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { createSshServer, hostKeyBlob, readHostKey } from '../../../test/support/edge-server/chisel-ssh.ts';
import { dial } from '../../../test/support/tunnel-bed.ts';
import { tunnelVectors } from '../../../test/support/tunnel-vectors.ts';
import { connectChisel } from './chisel-link.ts';
import { fingerprintOf } from './fingerprint.ts';

const hostKey = readHostKey(tunnelVectors.chisel.hostKey.privateKeySec1Pem);
const garbage = Buffer.alloc(16, 0xff);

describe('chisel link', () => {
  it('fails at once when garbage comes in one piece with the login', async () => {
    const http = createServer().listen(0, '127.0.0.1');
    await once(http, 'listening');
    const { port } = http.address() as AddressInfo;
    const server = new WebSocketServer({ server: http, handleProtocols: () => false });
    server.on('connection', (socket) => {
      let isLoggedIn = false;
      const ssh = createSshServer({
        hostKey,
        checkPassword: () => {
          isLoggedIn = true;
          return true;
        },
        onMessage: () => undefined,
        send: (bytes) => socket.send(isLoggedIn ? Buffer.concat([bytes, garbage]) : bytes),
      });
      socket.on('message', (bytes: Buffer) => ssh.receive(bytes));
    });
    const connecting = connectChisel(
      {
        address: { transport: 'chisel', host: '127.0.0.1', port, tls: false },
        fingerprint: fingerprintOf(hostKeyBlob(hostKey)),
        credentials: { user: 'u', password: 'p' },
        port: 1,
        target: '10.0.1.5:9001',
      },
      { dial: () => dial(port), onChannel: () => undefined },
      AbortSignal.timeout(10_000),
    );
    await assert.rejects(connecting, { code: 'unavailable', message: /a packet of 4294967295 bytes/ });
    server.close();
    http.close();
    await once(http, 'close');
  });
});
