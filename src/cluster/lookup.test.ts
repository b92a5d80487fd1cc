// The resolver against a DNS server that never answers.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createLookup } from './lookup.ts';

describe('lookup', () => {
  let server: Socket;
  let asked: Promise<unknown>;

  beforeEach(async () => {
    server = createSocket('udp4');
    asked = once(server, 'message');
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => server.close());

  it('ends at the abort while DNS is silent', async () => {
    const look = createLookup([`127.0.0.1:${server.address().port}`]);
    const controller = new AbortController();
    const startedMs = performance.now();
    const looking = look('agents.invalid', controller.signal);
    await asked;
    controller.abort();
    await assert.rejects(looking, { code: 'timeout' });
    // The server alone takes 800 ms to be given up.
    assert.ok(performance.now() - startedMs < 600);
  });

  it('asks nobody after the abort, and returns a literal address as it is', async () => {
    const look = createLookup();
    assert.deepEqual(await look('::1', new AbortController().signal), ['::1']);
    await assert.rejects(look('::1', AbortSignal.abort()));
  });
});
