// The tunnel to Debian's own OpenSSH server: everything that the one to chisel does, and what plain SSH has besides.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { ensurePackages, tunnelPackages } from '../../scripts/debian-packages.ts';
import { eventually } from '../support/eventually.ts';
import { dial, echoed, startTunnelBed } from '../support/tunnel-bed.ts';
import { tunnelCases } from '../support/tunnel-cases.ts';
import { startSshTunnelServer as startServer } from '../support/tunnel-servers.ts';

describe('tunnel to an OpenSSH server', function () {
  this.timeout(60_000);
  before(() => ensurePackages(tunnelPackages));

  tunnelCases(() => startServer());

  for (const keyType of ['ed25519', 'ecdsa', 'rsa'] as const) {
    it(`knows the server by its ${keyType} key, whichever it would rather show`, async () => {
      await using bed = await startTunnelBed({ startServer: () => startServer(keyType) });
      await bed.opened();
      // What the server writes comes by another way than what it sends.
      await eventually(() => assert.equal(bed.server.logins(), 1));
    });
  }

  it('carries on while keys are exchanged again', async () => {
    const often = ['RekeyLimit 1M'];
    await using bed = await startTunnelBed({ startServer: () => startServer('ed25519', often) });
    await bed.opened();
    const bytes = randomBytes(16 * 1024 * 1024);
    assert.ok((await echoed(bed.order.port, bytes)).equals(bytes));
  });

  it('leaves the answer its time when the question has ended', async () => {
    await using bed = await startTunnelBed({
      startServer: () => startServer(),
      onSocket: (socket) => void socket.resume().on('end', () => socket.end('after the end')),
    });
    await bed.opened();
    const client = await dial(bed.order.port);
    client.end('question');
    let answer = '';
    for await (const chunk of client) answer += String(chunk);
    assert.equal(answer, 'after the end');
  });
});
