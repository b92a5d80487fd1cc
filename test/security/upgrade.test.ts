// Upgrades pass the same gate as plain requests, and what flows after one is not looked into.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { createExec, mark, startExec, useAgent } from '../support/checks.ts';
import { hugeFrame } from '../support/engine/hijack.ts';
import { requestRaw } from '../support/raw-http.ts';
import { createSigner } from '../support/signer.ts';
import { assertRefused, assertStillWorks, signatureReason, signedHead, warmUp } from './attack.ts';

const upgrades = ['tcp', 'TCP', 'h2c', 'H2C', 'websocket', 'WebSocket', 'tcp, h2c', 'h2c, websocket', 'x'];
const routes = [
  'POST /exec/ab/start',
  'POST /containers/web/attach',
  'POST /session',
  'POST /grpc',
  'GET /version',
];

describe('upgrade attacks', () => {
  const under = useAgent();

  for (const upgrade of upgrades) {
    it(`A-30 "Upgrade: ${upgrade}" without credentials, or with wrong ones, is refused on every route`, async () => {
      const forged = { ...createSigner().headers(), 'X-PortainerAgent-Signature': 'A'.repeat(86) };
      for (const route of routes) {
        for (const credentials of [{}, forged]) {
          const headers = { ...mark, ...credentials, Connection: 'Upgrade', Upgrade: upgrade };
          const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
          await assertRefused(under(), `${route} HTTP/1.1\r\nHost: agent\r\n${lines.join('')}\r\n`, {
            statuses: [403],
            reason: signatureReason,
          });
        }
      }
    }).timeout(30_000);
  }

  it('A-30 an upgrade to h2c or websocket is carried only where the engine has one', async () => {
    for (const [route, upgrade] of [
      ['GET /version', 'h2c'],
      ['POST /containers/create', 'h2c'],
      ['GET /_ping', 'websocket'],
    ] as const) {
      await warmUp(under());
      await using connection = await under().connect();
      const head = signedHead(under(), `${route} HTTP/1.1`, 'Connection: Upgrade', `Upgrade: ${upgrade}`);
      await connection.send(`${head}\r\n`);
      const answer = await connection.head();
      equal(answer.status === 101, false, `${route} was upgraded`);
    }
    await assertStillWorks(under());
  });

  for (const id of [
    '../../version',
    '..%2f..%2fversion',
    'ab/../../version',
    'x'.repeat(10_000),
    'ab%00',
    'ab?x=1',
    "ab';ls",
  ]) {
    it(`A-31 a console for the id ${JSON.stringify(id.slice(0, 30))} never reaches the engine`, async () => {
      await warmUp(under());
      for (const path of [
        `/websocket/exec?id=${id}`,
        `/websocket/attach?id=${id}`,
        `/v2/websocket/exec?id=${id}`,
      ]) {
        const answer = await under().request({
          path,
          headers: {
            ...mark,
            Connection: 'Upgrade',
            Upgrade: 'websocket',
            'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
          },
        });
        ok(answer.status >= 400, `answered with ${answer.status}`);
      }
      deepEqual(under().forwarded(), []);
      deepEqual(
        under()
          .engine.receivedAt('version')
          .filter((one) => one.method === 'POST'),
        [],
      );
    });
  }

  it('A-34 a frame that promises 4 GiB passes as it is, and holds nothing back', async () => {
    const before = await under().agent.residentBytes();
    const id = await createExec(under(), 'huge-frame', { tty: false });
    const { connection } = await startExec(under(), id, { upgrade: true, tty: false });
    await using _ = connection;
    deepEqual(await connection.reader.exactly(hugeFrame.length), hugeFrame);
    for (const byte of ['\x01', '\0', 'x']) {
      await connection.send(byte);
      equal((await connection.reader.exactly(1)).toString(), byte);
    }
    const grown = (await under().agent.residentBytes()) - before;
    ok(grown < 33_554_432, `resident memory grew by ${grown} bytes`);
  });

  it('A-30 an unsigned upgrade on an own route is refused as the plain request is', async () => {
    const headers = { Connection: 'Upgrade', Upgrade: 'tcp' };
    for (const path of ['/agents', '/host/info', '/websocket/exec?id=ab']) {
      const answer = await requestRaw(under().agent.compat, { path, headers });
      match(String(answer.status), /^4\d\d$/, path);
    }
  });
});
