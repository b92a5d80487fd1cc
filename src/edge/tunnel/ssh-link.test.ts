// A hostile SSH server in front of ssh2: whatever it says, the attempt ends with one of our errors and no socket is left.

import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { createSeededRandom } from '../../../test/support/seeded-random.ts';
import { AgentError } from '../../errors.ts';
import type { LinkOrder } from './link.ts';
import { createConnectSsh } from './ssh-link.ts';

const order: LinkOrder = {
  address: { transport: 'ssh', host: 'server', port: 22, tls: false },
  fingerprint: 'x',
  credentials: { user: 'u', password: 'p' },
  port: 50_000,
  target: '10.0.1.5:9001',
};

describe('ssh client of ssh2 and a hostile server', () => {
  it('survives 300 servers that send anything', async () => {
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
});
