// Headers by which a client tries to steer what only agents may steer, and forged hops.

import { deepEqual, equal, rejects } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { assertLoggedReason, mark, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { exchangeRaw, requestRaw } from '../support/raw-http.ts';
import { createSigner } from '../support/signer.ts';
import { assertRefused, signedHead, warmUp } from './attack.ts';

const target = 'X-PortainerAgent-Target';
const secret = 'the secret of this test';
const unknownTarget = 'Unable to find the targeted agent';

describe('steering attacks', () => {
  const under = useAgent({ engine: { swarm: 'manager', name: 'node1' } });

  for (const connection of [
    `close, ${target}`,
    `close, X-PortainerAgent-Signature, X-PortainerAgent-PublicKey`,
    `${target}, close`,
  ]) {
    it(`A-17 "Connection: ${connection}" strips nothing that decides`, async () => {
      await warmUp(under());
      const signed = signedHead(
        under(),
        'GET /version HTTP/1.1',
        `${target}: nowhere`,
        `Connection: ${connection}`,
      );
      const answer = await exchangeRaw(under().agent.compat, `${signed}\r\n`);
      equal(answer.includes(unknownTarget), true, answer);
      deepEqual(under().forwarded(), []);
    });
  }

  it('A-17 "Connection: Content-Length" does not change how the body is framed', async () => {
    await warmUp(under());
    const body = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
    const answer = await under().request({
      method: 'POST',
      path: '/images/load',
      headers: { ...mark, Connection: 'close, Content-Length, Transfer-Encoding' },
      body,
    });
    equal(answer.status, 200);
    deepEqual(
      under()
        .forwarded()
        .map((received) => received.body.toString()),
      [body],
    );
    deepEqual(under().engine.receivedAt('/smuggled'), []);
  });

  it('A-17 two different targets are refused or the first one is used, and never both', async () => {
    await warmUp(under());
    const head = signedHead(
      under(),
      'GET /version HTTP/1.1',
      `${target}: nowhere`,
      `${target}: node1`,
      'Connection: close',
    );
    const answer = await exchangeRaw(under().agent.compat, `${head}\r\n`);
    equal(/^HTTP\/1\.1 (?:400|500) /.test(answer), true, answer);
    deepEqual(under().forwarded(), []);
  });

  it('A-17 a second signature is refused, and a second key where keys are taken from requests', async () => {
    const other = createSigner({ secret }).headers();
    await using withSecret = await startAgentUnderTest({
      env: { AGENT_SECRET: secret },
      signer: createSigner({ secret }),
    });
    for (const [agent, name] of [
      [under(), 'X-PortainerAgent-Signature'],
      [withSecret, 'X-PortainerAgent-Signature'],
      [withSecret, 'X-PortainerAgent-PublicKey'],
    ] as const) {
      const head = signedHead(agent, 'GET /version HTTP/1.1', `${name}: ${other[name]}`, 'Connection: close');
      await assertRefused(agent, `${head}\r\n`, { statuses: [400, 403] });
    }
  }).timeout(30_000);

  it('A-17, A-48 our own marks from a client are dropped, and forwarding headers reach no decision', async () => {
    await warmUp(under());
    const headers = {
      ...mark,
      'Flotilla-Decorate': 'node1',
      'Flotilla-Hop': '1',
      'Flotilla-Peer': 'node1',
      'X-Forwarded-For': '127.0.0.1',
      'X-Forwarded-Host': '169.254.169.254',
      'X-Forwarded-Proto': 'http',
      'X-Original-URL': '/smuggled',
      'X-HTTP-Method-Override': 'DELETE',
    };
    equal(
      (await under().request({ path: '/containers/json', headers: { ...headers, [target]: 'node1' } }))
        .status,
      200,
    );
    const [received] = under().forwarded();
    equal(received?.method, 'GET');
    equal(received?.target, '/containers/json');
    deepEqual(
      received?.rawHeaders.filter((text) => text.toLowerCase().startsWith('flotilla-')),
      [],
    );
    const unsigned = await requestRaw(under().agent.compat, { path: '/containers/json', headers });
    equal(unsigned.status, 403);
  });

  it('A-48 a client that repeats its own target is not forwarded in circles', async () => {
    await warmUp(under());
    equal((await under().request({ path: '/version', headers: { ...mark, [target]: 'node1' } })).status, 200);
    equal(
      (await under().request({ path: '/containers/json', headers: { ...mark, [target]: 'other' } })).status,
      200,
    );
    equal(
      under()
        .engine.receivedAt('/version')
        .filter((one) => one.headers.has('x-client-mark')).length,
      1,
    );
  });
});

describe('attacks on the peer listener', () => {
  const under = useAgent({
    engine: { swarm: 'manager', name: 'node1' },
    env: { FLOTILLA_CLUSTER_SECRET: 'a secret of the cluster' },
  });

  it("A-48 no request of a client without a member's certificate is answered", async () => {
    await warmUp(under());
    const linesBefore = under().agent.logLines().length;
    const headers = { ...mark, ...under().signer.headers(), 'Flotilla-Decorate': 'node1' };
    await assertNoAnswer(() => requestRaw(under().agent.peers(), { path: '/version', headers }));
    deepEqual(under().forwarded(), []);
    await assertLoggedReason(under().agent, linesBefore);
  });

  it('A-48 the certificate that the agent shows to clients does not open its peer listener', async () => {
    const { host, port } = under().agent.compat;
    const socket = connect({ host, port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const shown = socket.getPeerX509Certificate();
    socket.destroy();
    equal(shown instanceof X509Certificate, true);
    await rejects(requestRaw({ ...under().agent.peers(), kind: 'tcp' }, { path: '/version' }));
  });
});

/** A refusal at the door is a failed handshake, a closed connection or a 4xx. */
async function assertNoAnswer(request: () => Promise<{ status: number }>): Promise<void> {
  let status: number;
  try {
    ({ status } = await request());
  } catch {
    return;
  }
  equal(status >= 400 && status < 500, true, `answered with ${status}`);
}
