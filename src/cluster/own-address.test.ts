// When an agent gives up its address: only for another one that is as sure.

import assert from 'node:assert/strict';
import type { OwnContainer } from '../docker/docker.ts';
import { silentLogger } from '../log.ts';
import { systemClock } from './clock.ts';
import { createPlaceCheck, findOwnPlace, type OwnAddressNeeds, type OwnPlace } from './own-address.ts';

const forever = new AbortController().signal;

describe('place check', () => {
  /** What the host and the container have; the route to the seed is always from 127.0.0.1. */
  let local: readonly string[];
  let container: OwnContainer | undefined;
  let moves: OwnPlace[];
  const options = { advertiseAddr: undefined, addr: undefined, seeds: [{ host: '127.0.0.9' }] };
  const needs = (seed: readonly string[] = ['127.0.0.9']): OwnAddressNeeds => ({
    clock: systemClock,
    log: silentLogger,
    lookup: async () => seed,
    ownContainer: async () => container,
    inSwarm: () => true,
    localAddresses: () => local,
  });
  const containerAt = (...addresses: readonly string[]): OwnContainer => ({
    id: 'c',
    serviceName: undefined,
    addresses: addresses.map((address) => ({ network: 'agents', address, scope: 'swarm' })),
  });
  const checkOf = async (more: Partial<OwnAddressNeeds> = {}): Promise<() => Promise<void>> => {
    const all = { ...needs(), ...more };
    const place = await findOwnPlace(all, options, forever);
    assert.ok(place !== undefined);
    const check = createPlaceCheck(all, options, place, (found) => moves.push(found), forever);
    return async () => {
      check();
      await new Promise((resolve) => setTimeout(resolve, 50));
    };
  };
  const addresses = (): readonly string[] => moves.map(({ address }) => address.listen);

  beforeEach(() => {
    local = ['127.0.0.1', '127.0.0.2'];
    container = containerAt('127.0.0.2');
    moves = [];
  });

  it('moves to the address that the container got, when the old one is gone twice in a row', async () => {
    const check = await checkOf();
    await check();
    local = ['127.0.0.1', '127.0.0.3'];
    container = containerAt('127.0.0.3');
    await check();
    assert.deepEqual(addresses(), []);
    await check();
    assert.deepEqual(addresses(), ['127.0.0.3']);
  });

  it('stays while the container has no other address, and while its own is back', async () => {
    const check = await checkOf();
    local = ['127.0.0.1'];
    container = containerAt();
    // There is a route, but by it nobody would find the container.
    for (let looks = 0; looks < 3; looks++) await check();
    local = ['127.0.0.1', '127.0.0.2'];
    await check();
    local = ['127.0.0.1'];
    await check();
    assert.deepEqual(addresses(), []);
  });

  it('gives up a guess as soon as there is a route', async () => {
    container = undefined;
    local = ['127.0.0.2', '127.0.0.1'];
    // No address of the host leads to one that no packet may be sent to.
    let seed = ['255.255.255.255'];
    const check = await checkOf({ lookup: async () => seed });
    await check();
    await check();
    assert.deepEqual(addresses(), []);
    seed = ['127.0.0.9'];
    await check();
    assert.deepEqual(addresses(), ['127.0.0.1']);
  });
});
