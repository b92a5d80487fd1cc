// Every recorded path: which router it reaches, and what the engine sees of it.

import { deepEqual, equal, match } from 'node:assert/strict';
import { mark, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { requestRaw } from '../support/raw-http.ts';
import { type PathRewrite, vectors } from '../support/vectors.ts';

/** Only the version in front is removed: the original also mangles such a tag (quirk Q17). */
const deliberate: Readonly<Record<string, string>> = {
  '/v1.41/images/repo/v1.0:latest/json': '/images/repo/v1.0:latest/json',
};

describe('path rewriting', () => {
  const under = useAgent();

  for (const vector of vectors.pathRewrite) {
    it(`${vector.in} reaches ${vector.router}`, async () => {
      const { engine, request, forwarded, agent } = under();
      await request({ path: '/_ping' });
      engine.forget();
      const answer = await request({ path: vector.in, headers: mark });
      const targets = forwarded().map(({ target }) => target);
      if (vector.router === 'docker') {
        deepEqual(targets, [deliberate[vector.in] ?? vector.routerPath]);
        // The engine is never asked without a signature.
        equal((await requestRaw(agent.compat, { path: vector.in })).status, 403);
        return;
      }
      deepEqual(targets, []);
      assertRouter(vector, answer.status);
    });
  }

  it('keeps an encoded slash, with and without a version', async () => {
    const { engine, request, forwarded } = under();
    engine.forget();
    for (const path of ['/images/my%2Frepo/json', '/v1.41/images/my%2Frepo/json']) {
      equal((await request({ path, headers: mark })).status, 200);
    }
    deepEqual(
      forwarded().map(({ target }) => target),
      ['/images/my%2Frepo/json', '/images/my%2Frepo/json'],
    );
  });

  it('serves a client whose version the engine no longer speaks, or does not yet', async function () {
    this.timeout(60_000);
    await using newer = await startAgentUnderTest({ engine: { apiVersion: '1.52', minApiVersion: '1.44' } });
    await using older = await startAgentUnderTest({ engine: { apiVersion: '1.24', minApiVersion: '1.12' } });
    for (const agent of [newer, older]) {
      equal((await agent.request({ path: '/v1.41/containers/json?all=1' })).status, 200);
      const ping = await agent.request({ path: '/v1.41/_ping' });
      equal(ping.headers.get('api-version'), agent.engine.facts.apiVersion);
    }
  });

  it('passes the query byte for byte, once', async () => {
    const { engine, request, forwarded } = under();
    engine.forget();
    const query = '?all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D&x=%20y&x=z&&empty=';
    equal((await request({ path: `/v1.41/images/json${query}`, headers: mark })).status, 200);
    deepEqual(
      forwarded().map(({ target }) => target),
      [`/images/json${query}`],
    );
  });
});

/** The statuses that tell which of the agent's own routers answered, on an agent of its own without a Swarm. */
function assertRouter({ router, routerPath }: PathRewrite, status: number): void {
  switch (router) {
    case 'ping':
      equal(status, 204);
      return;
    case 'agents':
      equal(status, routerPath === '/agents' ? 503 : 404);
      return;
    case 'host':
      equal(status, routerPath === '/host/info' ? 200 : 404);
      return;
    case 'none (empty 200)':
      equal(status, 200);
      return;
    case 'dockerhub':
      // It takes POST only.
      equal(status, 405);
      return;
    default:
      // Routers that are not served yet, or only in Edge mode: refused, and never by the engine.
      match(String(status), /^(?:400|404|500|501|503)$/, router);
  }
}
