// SSH servers of all kinds in front of ssh2. Hostile ones: whatever they say, the attempt ends with one of our errors and no
// socket is left.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { duplexPair } from 'node:stream';
import ssh2 from 'ssh2';
import { hostKeyBlob } from '../../../test/support/edge-server/chisel-ssh.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { createSeededRandom } from '../../../test/support/seeded-random.ts';
import { dial } from '../../../test/support/tunnel-bed.ts';
import { AgentError } from '../../errors.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { LinkOrder } from './link.ts';
import { createConnectSsh } from './ssh-link.ts';

const order: LinkOrder = {
  address: { transport: 'ssh', host: 'server', port: 22, tls: false },
  fingerprint: 'x',
  credentials: { user: 'u', password: 'p' },
  port: 50_000,
  target: '10.0.1.5:9001',
};

describe('ssh client of ssh2', () => {
  it('survives 300 hostile servers that send anything', async () => {
    const connect = createConnectSsh();
    for (let seed = 1; seed <= 300; seed += 1) {
      const random = createSeededRandom(seed);
      const [near, far] = duplexPair();
      far.on('error', () => undefined).resume();
      const greeting = random.pick([
        'SSH-2.0-OpenSSH_9.2\r\n',
        'SSH-1.99-x\r\n',
        'banner\r\nSSH-2.0-x\r\n',
        '',
      ]);
      // Often a packet of possible length that begins like a KEXINIT.
      const head = random.below(2) === 0 ? Buffer.from('0000001c0414', 'hex') : random.bytes(6);
      const dial = () => Promise.resolve(near);
      const attempt = connect(
        order,
        { dial, onChannel: () => assert.fail('opened') },
        new AbortController().signal,
      );
      far.end(Buffer.concat([Buffer.from(greeting), head, random.bytes(random.below(300))]));
      await assert.rejects(attempt, (error: unknown) => error instanceof AgentError);
      assert.ok(near.destroyed);
    }
  });

  it('gives up when it is told to', async () => {
    const [near, far] = duplexPair();
    far.resume();
    const abort = new AbortController();
    const needs = { dial: () => Promise.resolve(near), onChannel: () => undefined };
    const attempt = createConnectSsh()(order, needs, abort.signal);
    abort.abort(new Error('not wanted'));
    await assert.rejects(attempt, { message: /not wanted/ });
    assert.ok(near.destroyed);
  });

  for (const ident of ['Go', 'paramiko_3.4.0', 'OpenSSH_9.2']) {
    it(`gets a sign of life from a server that calls itself ${ident}`, async () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const server = new ssh2.Server({
        ident,
        hostKeys: [privateKey.export({ format: 'pem', type: 'sec1' })],
      });
      server.on('connection', (client) => {
        client.on('error', () => undefined);
        client.on('authentication', (context) => context.accept());
        client.on('request', (accept, reject, name) => (name === 'tcpip-forward' ? accept?.() : reject?.()));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const link = await createConnectSsh()(
        {
          ...order,
          address: { ...order.address, host: '127.0.0.1', port },
          fingerprint: fingerprintOf(hostKeyBlob(privateKey)),
        },
        { dial: () => dial(port), onChannel: () => undefined },
        AbortSignal.timeout(10_000),
      );
      const before = link.heardBytes();
      link.ping();
      await eventually(() => assert.ok(link.heardBytes() > before));
      link.close('end of the test');
      await link.ended;
      server.close();
      await once(server, 'close');
    });
  }
});
