// Docker Hub's two servers, played by one of ours that answers as told.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { type LogFields, silentLogger } from '../../log.ts';
import { createDockerHub } from './dockerhub.ts';
import { parseHubLogin, parseLimits } from './dockerhub-plan.ts';

const anonymous = { authentication: false, username: '', password: '' };
const tokenMessage = 'Unable to retrieve DockerHub token from DockerHub';
const limitsMessage = 'Unable to retrieve DockerHub rate limits from DockerHub';

describe('Docker Hub', () => {
  let server: Server;
  let respond: RequestListener;
  const requests: IncomingMessage[] = [];
  const logged: LogFields[] = [];
  const agent = new Agent();

  before(async () => {
    server = createServer((req, res) => {
      requests.push(req);
      respond(req, res);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  beforeEach(() => {
    requests.length = 0;
    logged.length = 0;
    respond = (req, res) => {
      if (req.url?.startsWith('/token') === true) res.end('{"token":"t0k"}');
      else
        res.setHeader('RateLimit-Limit', '100;w=21600').setHeader('RateLimit-Remaining', '76;w=21600').end();
    };
  });

  after(async () => {
    await agent.destroy();
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  });

  const hub = (timeoutMs = 15_000): ReturnType<typeof createDockerHub> => {
    // A listening TCP server has an address of this kind.
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const log = {
      ...silentLogger,
      warn: (event: string, fields: LogFields) => void logged.push({ event, ...fields }),
    };
    return createDockerHub({ dispatcherOf: () => agent, log }, { authUrl: url, registryUrl: url, timeoutMs });
  };

  it('asks for a token and then for the limits, as nobody or with credentials', async () => {
    assert.deepEqual(await hub().limits(anonymous), { remaining: 76, limit: 100 });
    await hub().limits({ authentication: true, username: 'me', password: 'pw' });
    assert.deepEqual(
      requests.map(({ method, url, headers }) => [method, url, headers.authorization]),
      [undefined, 'Basic bWU6cHc='].flatMap((basic) => [
        ['GET', '/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull', basic],
        ['HEAD', '/v2/ratelimitpreview/test/manifests/latest', 'Bearer t0k'],
      ]),
    );
  });

  it('says which of the two failed', async () => {
    const rejected = (message: string): Promise<void> => assert.rejects(hub().limits(anonymous), { message });
    for (const token of [
      'nothing',
      '[]',
      '{"token":""}',
      '{"token":1}',
      `{"token":"${'x'.repeat(300_000)}"}`,
    ]) {
      respond = (_req, res) => void res.end(token);
      await rejected(tokenMessage);
    }
    respond = (_req, res) => void res.writeHead(401).end();
    await rejected(tokenMessage);
    respond = (_req, res) => void res.writeHead(302, { Location: '/token2' }).end();
    await rejected(tokenMessage);
    respond = (req, res) => void (req.method === 'GET' ? res.end('{"token":"t"}') : res.writeHead(429).end());
    await rejected(limitsMessage);
    assert.deepEqual(
      logged.map(({ attempted }) => attempted),
      [...Array.from({ length: 7 }, () => tokenMessage), limitsMessage],
    );
    assert.deepEqual(logged.at(-1), {
      event: 'docker hub did not answer',
      attempted: limitsMessage,
      error: 'answered with status 429',
    });
  });

  it('waits no longer than its time for either', async () => {
    respond = () => undefined;
    await assert.rejects(hub(50).limits(anonymous), { message: tokenMessage });
    respond = (req, res) => void (req.method === 'GET' && res.end('{"token":"t"}'));
    // The token must come in that time.
    await assert.rejects(hub(1_500).limits(anonymous), { message: limitsMessage });
  });

  it('knows no limits without the two numbers', () => {
    assert.deepEqual(parseLimits('100', '7'), { limit: 100, remaining: 7 });
    for (const [limit, remaining] of [
      [null, '7'],
      ['100', null],
      ['x', '7'],
      ['100', ''],
    ] as const) {
      assert.equal(parseLimits(limit, remaining), null);
    }
  });

  it('reads the server’s registry object, by names in any case', () => {
    const registry = {
      Id: 1,
      Type: 6,
      URL: 'docker.io',
      Authentication: true,
      Username: 'me',
      Password: 'pw',
    };
    const login = { authentication: true, username: 'me', password: 'pw' };
    assert.deepEqual(parseHubLogin(JSON.stringify(registry)), login);
    assert.deepEqual(parseHubLogin(JSON.stringify(login)), login);
    assert.deepEqual(parseHubLogin('{}'), anonymous);
    for (const [text, message] of [
      ['{"Authentication":true,"Username":"me"}', /missing username or password/],
      ['{"authentication":"yes"}', /no boolean/],
      ['{"username":1}', /no string/],
      ['[]', /no JSON object/],
      ['', /not JSON/],
    ] as const) {
      assert.throws(() => parseHubLogin(text), message);
    }
  });
});
