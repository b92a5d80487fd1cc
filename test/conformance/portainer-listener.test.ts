// Rows of the server's checklist that need nothing of the engine: C1, C2, C3, C8, C9, C13.
// With FLOTILLA_CONFORMANCE_URL they run against the agent there, signed with FLOTILLA_CONFORMANCE_KEY (a PEM).

import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { assertAgentHeaders, assertErrorBody, useAgent } from '../support/checks.ts';
import { connectRaw, type RawAddress, type RawRequest, requestRaw } from '../support/raw-http.ts';
import { createSigner, type Signer } from '../support/signer.ts';

describe('Portainer listener', () => {
  const { address, signer } = useListener();
  const signed = (request: RawRequest) =>
    requestRaw(address(), { ...request, headers: { ...signer().headers(), ...request.headers } });

  it('C1 answers ping without any header: 204, no body, three agent headers', async () => {
    for (const path of ['/ping', '/v2/ping', '/v1.41/ping']) {
      const answer = await requestRaw(address(), { path });
      equal(answer.status, 204);
      equal(answer.body.length, 0);
      equal(answer.headers.get('content-length'), undefined);
      assertAgentHeaders(answer);
    }
  });

  it('C2 answers a signed HEAD of the engine ping with its version and without a body', async () => {
    const answer = await signed({ method: 'HEAD', path: '/_ping' });
    equal(answer.status, 200);
    match(answer.headers.get('api-version') ?? '', /^\d+\.\d+$/);
    equal(answer.body.length, 0);
    assertAgentHeaders(answer);
  });

  it('C3 refuses an unsigned engine ping in the known words', async () => {
    const answer = await requestRaw(address(), { path: '/_ping' });
    assertErrorBody(answer, 403, { message: 'Missing request signature headers', details: 'Unauthorized' });
    assertAgentHeaders(answer);
  });

  it('C8 finds the right router behind the version that the UI puts in front', async () => {
    equal((await requestRaw(address(), { path: '/v1.41/ping' })).status, 204);
    equal((await signed({ path: '/v1.45/version' })).status, 200);
    for (const path of ['/agents', '/v2/agents', '/v1/agents', '/v1.41/v2/agents']) {
      const answer = await signed({ path });
      const body: unknown = JSON.parse(answer.body.toString());
      if (answer.status === 200) equal(Array.isArray(body), true);
      else equal(answer.status, 503);
      equal(answer.headers.get('api-version'), undefined, 'the engine was not asked');
    }
  });

  it('C9 answers unknown paths of its own routers with 404 and wrong methods with 405', async () => {
    for (const path of [
      '/pingx',
      '/agents/more',
      '/agentsx',
      '/host/nothing',
      '/v2/host',
      '/hostname/json',
    ]) {
      const answer = await requestRaw(address(), { path });
      equal(answer.status, 404, path);
      equal(answer.body.toString(), '404 page not found\n');
      equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
      equal(answer.headers.get('x-content-type-options'), 'nosniff');
      assertAgentHeaders(answer);
    }
    for (const [method, path] of [
      ['POST', '/ping'],
      ['DELETE', '/v2/agents'],
      ['PUT', '/host/info'],
    ] as const) {
      const answer = await requestRaw(address(), { method, path });
      equal(answer.status, 405, path);
      equal(answer.body.length, 0);
      assertAgentHeaders(answer);
    }
  });

  it('C9 redirects to the cleaned path of its own routers, with the query', async () => {
    for (const [path, location] of [
      ['/agents//', '/agents/'],
      ['/host//info?x=1', '/host/info?x=1'],
      ['/host/./info', '/host/info'],
      ['/host/more/../info', '/host/info'],
    ] as const) {
      const answer = await signed({ path });
      deepEqual([answer.status, answer.headers.get('location')], [301, location], path);
      assertAgentHeaders(answer);
    }
  });

  it('C13 accepts TLS 1.2 and 1.3 and refuses 1.1', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      equal((await requestRaw({ ...address(), maxVersion }, { path: '/ping' })).status, 204);
    }
    await rejects(connectRaw({ ...address(), maxVersion: 'TLSv1.1' }), /alert|version|protocol/i);
  });
});

/** The agent at the given URL, or one of our own over the fake engine. */
function useListener(): { address: () => RawAddress & { kind: 'tls' }; signer: () => Signer } {
  const url = process.env.FLOTILLA_CONFORMANCE_URL;
  if (url === undefined) {
    const under = useAgent();
    return { address: () => under().agent.compat, signer: () => under().signer };
  }
  const { hostname, port } = new URL(url);
  const privateKeyPem = process.env.FLOTILLA_CONFORMANCE_KEY;
  const signer = createSigner(privateKeyPem === undefined ? {} : { privateKeyPem });
  return { address: () => ({ kind: 'tls', host: hostname, port: Number(port) }), signer: () => signer };
}
