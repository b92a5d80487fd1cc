// Connections that are kept without use for as long as the server counts on, again and again. Nothing here takes any work,
// and at full length it takes over half an hour.

import { equal } from 'node:assert/strict';
import { startAgentUnderTest } from '../support/checks.ts';
import { staysOpen } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';

describe('kept connections', function () {
  const posts = scaled(2, 200);
  const pauseMs = scaled(6_000, 10_000);
  // A second less than what the server counts on; Node's own default would be 5 s.
  const idleMs = scaled(6_000, 119_000);
  this.timeout(posts * pauseMs + idleMs + 60_000);

  it(`C10 takes ${posts} POST requests over one connection with ${pauseMs / 1_000} s between them`, async () => {
    await using under = await startAgentUnderTest();
    await using connection = await under.connect();
    for (let sent = 0; sent < posts; sent += 1) {
      if (sent > 0) await staysOpen(connection, pauseMs);
      await connection.request({
        method: 'POST',
        path: '/containers/create',
        headers: under.signer.headers(),
        body: '{}',
      });
      equal((await connection.answer()).status, 201);
    }
  });

  it(`C10 keeps an idle connection for ${idleMs / 1_000} s`, async () => {
    await using under = await startAgentUnderTest();
    await using connection = await under.connect();
    for (const idles of [true, false]) {
      await connection.request({ path: '/ping' });
      equal((await connection.answer()).status, 204);
      if (idles) await staysOpen(connection, idleMs);
    }
  });
});
