// What passes on and what ends here (attacks A-17, agent-api.md Q18).

import assert from 'node:assert/strict';
import { answerHeaders, requestHeaders, toEngine, toEngineUpgrade } from './headers.ts';

describe('headers', () => {
  it('keeps order, spelling and duplicates of what passes', () => {
    const raw = [
      'Host',
      'docker',
      'X-Registry-Auth',
      'abc',
      'x-meta-A',
      '1',
      'X-Meta-A',
      '2',
      'traceparent',
      't',
    ];
    assert.deepEqual(requestHeaders(raw, toEngine), raw);
  });

  it('drops credentials, steering, hop-by-hop headers and our own', () => {
    const raw = [
      'Cookie', 'portainer_api_key=x', 'AUTHORIZATION', 'Bearer x', 'X-CSRF-Token', 'x',
      'X-PortainerAgent-Target', 'n', 'X-PortainerAgent-ManagerOperation', '1', 'X-PortainerAgent-PublicKey', 'k',
      'X-PortainerAgent-Signature', 's', 'X-PortainerAgent-SA-Token', '', 'Flotilla-Decorate', 'portainer',
      'Connection', 'keep-alive', 'Keep-Alive', '5', 'TE', 'trailers', 'Trailer', 'x', 'Transfer-Encoding', 'chunked',
      'Upgrade', 'h2c', 'Proxy-Authorization', 'x', 'Expect', '100-continue', 'Accept', '*/*',
    ]; // biome-ignore format: pairs
    assert.deepEqual(requestHeaders(raw, toEngine), ['Accept', '*/*']);
  });

  it('drops them in any spelling, and nothing that only resembles them', () => {
    const dropped = ['TE', 'te', 'COOKIE', 'x-PORTAINERAGENT-x', 'FLOTILLA-X', 'Proxy-Connection'];
    const kept = [
      'T',
      'Cookies',
      'X-Portainer',
      'Flotillas',
      'X-Csrf-Token2',
      'A'.repeat(31),
      'B'.repeat(70),
    ];
    const flat = [...dropped, ...kept].flatMap((name) => [name, '1']);
    assert.deepEqual(
      requestHeaders(flat, toEngine),
      kept.flatMap((name) => [name, '1']),
    );
  });

  it('keeps the signature for a peer that verifies it itself', () => {
    const raw = [
      'X-PortainerAgent-PublicKey',
      'k',
      'X-PortainerAgent-Signature',
      's',
      'X-PortainerAgent-Target',
      'n',
    ];
    assert.deepEqual(requestHeaders(raw, { keepSignature: true, keepUpgrade: false }), raw.slice(0, 4));
  });

  it('drops what Connection nominates, but never what frames or authorises a request', () => {
    const raw = [
      'Connection',
      'close, X-Hop, Content-Length, X-Registry-Auth',
      'X-Hop',
      '1',
      'Content-Length',
      '5',
      'X-Registry-Auth',
      'a',
    ];
    assert.deepEqual(requestHeaders(raw, toEngine), ['Content-Length', '5', 'X-Registry-Auth', 'a']);
  });

  it('keeps what a hijack is made of', () => {
    const raw = ['Connection', 'Upgrade', 'Upgrade', 'tcp', 'Cookie', 'x'];
    assert.deepEqual(requestHeaders(raw, toEngineUpgrade), ['Connection', 'Upgrade', 'Upgrade', 'tcp']);
  });

  it('puts the added headers first and drops hop-by-hop ones of the answer', () => {
    const raw = ['Api-Version', '1.41', 'Connection', 'close', 'Transfer-Encoding', 'chunked'];
    assert.deepEqual(answerHeaders(raw, ['Portainer-Agent', '2.23.0']), [
      'Portainer-Agent',
      '2.23.0',
      'Api-Version',
      '1.41',
    ]);
  });

  it("puts an added header in the place of the answer's own, however it is spelled", () => {
    const raw = ['Api-Version', '1.41', 'api-version', '1.40', 'Ostype', 'linux'];
    const added = ['API-Version', '1.39'];
    for (let answers = 0; answers < 2; answers += 1) {
      assert.deepEqual(answerHeaders(raw, added), ['API-Version', '1.39', 'Ostype', 'linux']);
    }
    assert.deepEqual(answerHeaders(raw, []).length, 6);
  });
});
