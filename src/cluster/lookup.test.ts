// The resolver against a DNS server that never answers.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { AgentError } from '../errors.ts';
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
    const looking = look('agents.invalid', controller.signal);
    await asked;
    controller.abort();
    // It takes its time to give the server up: nothing of that comes within this turn of the loop.
    const turn = new Promise((resolve) => setImmediate(resolve, 'still looking'));
    const code = looking.then(
      () => 'found',
      (error: unknown) => error instanceof AgentError && error.code,
    );
    assert.equal(await Promise.race([code, turn]), 'timeout');
  });

  it('asks nobody after the abort, and returns a literal address as it is', async () => {
    const look = createLookup();
    assert.deepEqual(await look('::1', new AbortController().signal), ['::1']);
    await assert.rejects(look('::1', AbortSignal.abort()));
  });
});
