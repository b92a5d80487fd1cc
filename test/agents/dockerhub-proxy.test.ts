// Docker Hub past the proxy of the environment, by the rules of Edge polling, and what the log says when it does not answer.

import { deepEqual, doesNotMatch, equal, fail } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AgentUnderTest, assertErrorBody, startAgentUnderTest } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import type { RawAnswer } from '../support/raw-http.ts';

describe('Docker Hub past a proxy', () => {
  let proxy: Server;
  let asked: string[];
  let status: number;
  let url: string;

  before(async () => {
    // As an HTTP proxy that is asked for what is not TLS: it answers for the host that the request names.
    proxy = createServer((req, res) => {
      asked.push(`${req.method} ${req.url}`);
      res.writeHead(status, { 'RateLimit-Limit': '100;w=21600', 'RateLimit-Remaining': '76;w=21600' });
      res.end(req.method === 'HEAD' ? undefined : '{"token":"t0k"}');
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    // A listening TCP server has an address of this kind.
    url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });

  beforeEach(() => {
    asked = [];
    status = 200;
  });

  after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });

  const start = (hub: string, except: string): Promise<AgentUnderTest> =>
    startAgentUnderTest({
      env: {
        HTTP_PROXY: url,
        NO_PROXY: except,
        FLOTILLA_DOCKERHUB_AUTH_URL: hub,
        FLOTILLA_DOCKERHUB_REGISTRY_URL: hub,
      },
    });
  /** Again where this process, which is the hub, was held up for the 3 s that an agent waits. */
  const ask = (under: AgentUnderTest): Promise<RawAnswer> =>
    eventually(async () => {
      asked = [];
      const answer = await under.request({ method: 'POST', path: '/v2/dockerhub', body: '{}' });
      doesNotMatch(answer.body.toString(), /timeout/i);
      return answer;
    });
  const [token, limits] = [
    '/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull',
    '/v2/ratelimitpreview/test/manifests/latest',
  ];

  it('is asked there, and a refusal is logged', async () => {
    await using under = await start('http://hub.test', '');
    const answer = await ask(under);
    deepEqual([answer.status, JSON.parse(answer.body.toString())], [200, { remaining: 76, limit: 100 }]);
    deepEqual(asked, [`GET http://hub.test${token}`, `HEAD http://hub.test${limits}`]);
    status = 502;
    assertErrorBody(await ask(under), 500, {
      message: 'Unable to retrieve DockerHub token from DockerHub',
      details: 'Answered with status 502',
    });
    const line = await eventually(
      () =>
        under.agent
          .logLines()
          .find(
            ({ msg, error }) => msg === 'docker hub did not answer' && error === 'answered with status 502',
          ) ?? fail('the log does not say so'),
    );
    equal(line.level, 'warn');
  });

  it('is asked directly where its host is an exception', async () => {
    await using under = await start(url, '127.0.0.1');
    equal((await ask(under)).status, 200);
    deepEqual(asked, [`GET ${token}`, `HEAD ${limits}`]);
  });
});
