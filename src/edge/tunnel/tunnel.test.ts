// What the tunnel says of an order that it cannot follow: in its state, and once in the log.

import assert from 'node:assert/strict';
import { createTestClock } from '../../../test/support/edge-clock.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { recordLog } from '../../../test/support/record-log.ts';
import { encryptCredentials, testEdgeId } from '../../../test/support/tunnel-bed.ts';
import { createTunnel } from './tunnel.ts';

describe('tunnel', () => {
  it('says once why it cannot follow orders, polled again and again, and once more when the reason is another', async () => {
    const clock = createTestClock();
    const { log, warnings } = recordLog();
    const tunnel = createTunnel(
      { dialLocal: () => Promise.reject(new Error('nobody asks')), clock, random: () => 0.5, log },
      {
        edgeId: testEdgeId,
        target: { host: '10.0.1.5', port: 9001 },
        inactivityMs: 60_000,
        proxy: undefined,
      },
    );
    const open = async (credentials: string, tunnelAddress = '127.0.0.1:1'): Promise<string> => {
      tunnel.open({ tunnelAddress, fingerprint: 'f', port: 50_000, credentials });
      await eventually(() => tunnel.state().kind === 'waiting');
      const state = tunnel.state();
      return state.kind === 'waiting' ? state.reason : state.kind;
    };
    for (let i = 0; i < 3; i += 1) {
      // Another text each time, as a server encrypts them.
      assert.match(await open(encryptCredentials('user', 'password', 'another')), /another Edge ID/);
      clock.advance(5_000);
      await eventually(() => tunnel.state().kind === 'waiting');
    }
    assert.equal(warnings.length, 1);
    assert.match(await open(encryptCredentials('user', 'password'), 'ftp://nowhere'), /no host and port/);
    assert.equal(warnings.length, 2);
    await tunnel.close();
    assert.equal(clock.waiting(), 0);
  });
});
