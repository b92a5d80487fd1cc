// Attacks on the request target: A-12 to A-16. What was classified is what is forwarded, or nothing is.

import { deepEqual, equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { mark, useAgent } from '../support/checks.ts';
import { exchangeRaw, requestRaw } from '../support/raw-http.ts';
import { assertRefused, assertStillWorks, signedHead, warmUp } from './attack.ts';

describe('target attacks', () => {
  const under = useAgent({ engine: { swarm: 'manager', name: 'node1' } });

  for (const target of [
    '/./version',
    '/x/../version',
    '/containers/../version',
    '/%2e%2e/version',
    '/containers/%2e%2e/version',
    '/containers/.%2e/version',
    '/containers%2Fcreate',
    '/containers%2fjson',
    '/%63ontainers/json',
    '/c%6Fntainers/json',
    '/containers/web%2Fjson',
    '/containers/web%00/json',
    '/containers/web%0a/json',
    '/containers/web%0D%0A/json',
    '/containers/web%7f/json',
    '/containers/web\\..\\json',
    '/containers/web%5cjson',
    '/containers/web\u0085/json',
    '/containers/%zz/json',
    '/containers/%c0%ae%c0%ae/json',
    '/containers/json#/_ping',
    'http://other-host/version',
    'https://169.254.169.254/latest',
    'version',
    '*',
    '//169.254.169.254/latest',
    '//containers/json',
    '/containers//json',
    '',
    '/containers/json\tx',
    '/v1.41.0/containers/json',
    '/v1.41/v1.41/containers/json',
    '/v.../containers/json',
    '/v1.4.1/info',
    '/v01.41/info',
  ]) {
    it(`A-12, A-13, A-14 ${JSON.stringify(target)} is refused`, async () => {
      const bytes = `${signedHead(under(), `GET ${target} HTTP/1.1`, 'Connection: close')}\r\n`;
      await assertRefused(under(), Buffer.from(bytes, 'latin1'), { statuses: [301, 400, 404] });
    });
  }

  for (const [target, seen] of [
    ['/v1.41/info', '/info'],
    ['/v1./info', '/info'],
    ['/images/sha256%3Aabc/json', '/images/sha256%3Aabc/json'],
    ['/images/repo%2Fname%40sha256%3Aabc/json', '/images/repo%2Fname%40sha256%3Aabc/json'],
    ['/images/repo%2fname/json', '/images/repo%2fname/json'],
    ['/containers/web;x=y/json', '/containers/web;x=y/json'],
    ['/containers/web%252fx/json', '/containers/web%252fx/json'],
    ['/containers/json/', '/containers/json/'],
    ['/containers/create.js', '/containers/create.js'],
    ['/containers/create/health', '/containers/create/health'],
    ['/version?x=/_ping', '/version?x=/_ping'],
    [
      '/version?filters=%7B%7D&filters=x&name[]=y&follow=yes&t=a&t=b',
      '/version?filters=%7B%7D&filters=x&name[]=y&follow=yes&t=a&t=b',
    ],
  ] as const) {
    it(`A-13, A-15, A-16 ${target} reaches the engine as it was classified`, async () => {
      await warmUp(under());
      await under().request({ path: target, headers: mark });
      deepEqual(
        under()
          .forwarded()
          .map((received) => received.target),
        [seen],
      );
    });
  }

  for (const path of [
    '/version',
    '/version?/ping',
    '/version?x=/v2/ping',
    '/_ping.js',
    '/containers/json/ping',
    '/ping/../version',
    '/ping/%2e%2e/version',
    '/key/../version',
    '/v1.41/ping/../../version',
    '/%70ing/../version',
    '/v1/ping',
    '/v1.41/key',
  ]) {
    it(`A-15 unsigned ${path} never reaches the engine`, async () => {
      await warmUp(under());
      const answer = await requestRaw(under().agent.compat, { path, headers: mark });
      match(String(answer.status), /^(?:301|400|403|404|503)$/);
      deepEqual(under().forwarded(), []);
    });
  }

  it('A-14 CONNECT is refused, signed or not', async () => {
    for (const head of [
      signedHead(under(), 'CONNECT 169.254.169.254:80 HTTP/1.1'),
      'CONNECT /version HTTP/1.1\r\nHost: agent\r\n',
    ]) {
      await assertRefused(under(), `${head}\r\n`, { statuses: [400, 403, 404, 405, 501] });
    }
  });

  it('A-14 HTTP/2 is not offered, and its preface is refused', async () => {
    const { host, port } = under().agent.compat;
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
    await once(socket, 'secureConnect');
    equal(socket.alpnProtocol === 'h2', false);
    socket.destroy();
    await assertRefused(under(), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', { statuses: [400, 505] });
  });

  it('A-14 the Host header chooses nothing', async () => {
    await warmUp(under());
    const head = signedHead(under(), 'GET /version HTTP/1.1', 'Connection: close').replace(
      'Host: agent',
      'Host: 169.254.169.254',
    );
    match(await exchangeRaw(under().agent.compat, `${head}\r\n`), /^HTTP\/1\.1 200 /);
    equal(under().forwarded().length, 1);
    await assertStillWorks(under());
  });
});
