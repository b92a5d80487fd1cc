// Row C14: an agent that nobody associates with stops listening after AGENT_SECRET_TIMEOUT, and stays alive.

import { equal, rejects } from 'node:assert/strict';
import { startAgentUnderTest } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { requestRaw } from '../support/raw-http.ts';
import { isLong } from '../support/scale.ts';

/** Long enough for who must be asked before it has passed, on a machine that stands still for some seconds. */
const timeout = isLong ? '60s' : '5s';

describe('association timeout', function () {
  this.timeout(isLong ? 240_000 : 90_000);
  const closesWithinMs = isLong ? 120_000 : 30_000;

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
      const AGENT_SECRET_TIMEOUT = secret === undefined ? timeout : '1s';
      const env = { AGENT_SECRET_TIMEOUT, ...(secret !== undefined && { AGENT_SECRET: secret }) };
      await using under = await startAgentUnderTest({ env });
      if (secret === undefined) equal((await under.request({ path: '/_ping' })).status, 200);
      // Started behind it, this one shows that the time of both has passed.
      await using other = await startAgentUnderTest({ env: { AGENT_SECRET_TIMEOUT } });
      await eventually(() => rejects(requestRaw(other.agent.compat, { path: '/ping' })), {
        withinMs: closesWithinMs,
      });
      equal((await requestRaw(under.agent.compat, { path: '/ping' })).status, 204);
    });
  }
});
