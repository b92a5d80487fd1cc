// Key exchanges after the first one, and the bound of what waits for one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  createSshServer,
  readHostKey,
  type SshServer,
} from '../../../../test/support/edge-server/chisel-ssh.ts';
import { tunnelVectors } from '../../../../test/support/tunnel-vectors.ts';
import { createSshTransport, type SshTransport } from './transport.ts';

const hostKey = readHostKey(tunnelVectors.chisel.hostKey.privateKeySec1Pem);
/** IGNORE with no data. */
const quiet = Buffer.from([2, 0, 0, 0, 0]);

interface Pair {
  readonly transport: SshTransport;
  readonly server: SshServer;
  /** Hands over what either has said so far. */
  pass(): void;
  sentBytes(): number;
}

function connectPair(): Pair {
  let toServer: Buffer[] = [];
  let toClient: Buffer[] = [];
  let sentBytes = 0;
  const server = createSshServer({
    hostKey,
    send: (bytes) => {
      toClient.push(bytes);
    },
    checkPassword: () => true,
    onMessage: () => undefined,
  });
  const transport = createSshTransport(
    {
      send: (packet) => {
        const bytes = Buffer.concat(packet);
        sentBytes += bytes.length;
        toServer.push(bytes);
      },
      onSecure: () => undefined,
      onMessage: () => undefined,
      checkHostKey: () => undefined,
      random: randomBytes,
    },
    { ident: 'SSH-chisel-v3-client' },
  );
  const pass = (): void => {
    while (toServer.length + toClient.length > 0) {
      const [there, back] = [toServer, toClient];
      toServer = [];
      toClient = [];
      for (const bytes of there) server.receive(bytes);
      for (const bytes of back) transport.receive(bytes);
    }
  };
  transport.start();
  pass();
  return { transport, server, pass, sentBytes: () => sentBytes };
}

describe('ssh transport and key exchanges', () => {
  it('sends under the new keys afterwards, as often as the server asks', () => {
    const { transport, server, pass, sentBytes } = connectPair();
    for (let i = 0; i < 3; i += 1) {
      const before = sentBytes();
      assert.equal(server.rekey(), true);
      pass();
      assert.equal(transport.isExchanging(), false);
      assert.ok(sentBytes() > before);
      transport.send(quiet);
      // The server reads it with the new key, or throws.
      assert.throws(pass, /message 2 before authentication/);
    }
  });

  it('ends when too much waits', () => {
    const sent: Buffer[] = [];
    const transport = createSshTransport(
      {
        send: (packet) => void sent.push(Buffer.concat(packet)),
        onSecure: () => undefined,
        onMessage: () => undefined,
        checkHostKey: () => undefined,
        random: randomBytes,
      },
      { ident: 'SSH-chisel-v3-client' },
    );
    transport.start();
    for (let i = 0; i < 10_000; i += 1) transport.send(quiet);
    assert.throws(() => transport.send(quiet), { code: 'limit-exceeded' });
    assert.equal(sent.length, 1, 'only the identification');
  });
});
