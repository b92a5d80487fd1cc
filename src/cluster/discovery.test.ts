// The loop of discovery on a network that notes whom it was told to dial.

import assert from 'node:assert/strict';
import { silentLogger } from '../log.ts';
import { systemClock } from './clock.ts';
import { discover } from './discovery.ts';
import type { Endpoint, MemberNetwork } from './network.ts';

describe('discovery', () => {
  it('dials nobody after the abort', async () => {
    const controller = new AbortController();
    const dialled: Endpoint[] = [];
    const network: Pick<MemberNetwork, 'dial' | 'isLinkedTo'> = {
      isLinkedTo: () => false,
      dial: async (endpoint) => {
        dialled.push(endpoint);
        controller.abort();
        throw new Error('refused');
      },
    };
    const found = Array.from({ length: 100 }, (_, index) => `10.0.0.${index + 1}`);
    await discover(
      {
        network: network as MemberNetwork,
        clock: systemClock,
        random: Math.random,
        log: silentLogger,
        lookup: async () => found,
        taskAddresses: async () => [],
        memberEndpoints: () => [],
        isOwn: () => false,
        onAlone: () => undefined,
        onRound: () => undefined,
      },
      { host: 'agents', seeds: [], port: 7_946, own: { address: '10.0.0.0', port: 7_946 } },
      controller.signal,
    );
    assert.equal(dialled.length, 16);
  });
});
