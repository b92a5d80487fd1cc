// Row C14: an agent that nobody associates with stops listening after AGENT_SECRET_TIMEOUT, and stays alive.

import { equal, rejects } from 'node:assert/strict';
import { startAgentUnderTest } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { requestRaw } from '../support/raw-http.ts';
import { isLong } from '../support/scale.ts';

const timeout = isLong ? '60s' : '2s';

describe('association timeout', function () {
  this.timeout(isLong ? 120_000 : 30_000);
  const closesWithinMs = isLong ? 90_000 : 10_000;

  it('C14 closes the compat listener of an agent that was never associated, and the process stays', async () => {
    await using under = await startAgentUnderTest({ env: { AGENT_SECRET_TIMEOUT: timeout } });
    equal((await requestRaw(under.agent.compat, { path: '/ping' })).status, 204);
    await eventually(() => rejects(requestRaw(under.agent.compat, { path: '/ping' })), {
      withinMs: closesWithinMs,
    });
    equal(under.agent.running(), true);
    equal((await requestRaw(under.agent.metrics, { path: '/healthz' })).status, 200);
  });

  for (const [name, secret] of [
    ['an associated agent', undefined],
    ['an agent with a secret', 'a secret'],
  ] as const) {
    it(`C14 keeps ${name} listening`, async () => {
      const env = { AGENT_SECRET_TIMEOUT: '1s', ...(secret !== undefined && { AGENT_SECRET: secret }) };
      await using other = await startAgentUnderTest({ env: { AGENT_SECRET_TIMEOUT: '1s' } });
      await using under = await startAgentUnderTest({ env });
      if (secret === undefined) equal((await under.request({ path: '/_ping' })).status, 200);
      // The other one, started before, shows that the time has passed.
      await eventually(() => rejects(requestRaw(other.agent.compat, { path: '/ping' })), {
        withinMs: 10_000,
      });
      equal((await requestRaw(under.agent.compat, { path: '/ping' })).status, 204);
    });
  }
});
