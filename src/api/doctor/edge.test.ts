// What can be wrong in Edge mode: the check that names it, and words of its remedy.

import assert from 'node:assert/strict';
import { healthy, type IllnessCase, polling, testIllnesses } from '../../../test/support/doctor-facts.ts';
import type { EdgeState, TunnelState } from '../../edge/edge.ts';
import { checkEdge } from './edge.ts';
import type { DoctorFacts } from './facts.ts';

function failing(failure: string): Partial<DoctorFacts> {
  return { edge: { ...polling, failure } };
}

function waiting(reason: string): Partial<DoctorFacts> {
  const tunnel: TunnelState = { kind: 'waiting', port: 50_000, attempt: 3, reason, retryAtMs: 2 };
  return { edge: { ...polling, tunnel } };
}

const cases: readonly IllnessCase[] = [
  ['no key, the page open', { edge: { kind: 'unassociated', pageOpen: true } }, 'edge', null, /no Edge key/, /Edge page/],
  ['no key, the page closed', { edge: { kind: 'unassociated', pageOpen: false } }, 'edge', null, /no Edge key/, /restart/],
  ['a refused poll', failing('403 refused: x'), 'edge', 'https://p', /403/, /trusted.*EDGE_ID/],
  ['a refused global key', failing('look up the environment of the global key: 403 refused'), 'edge', 'https://p', /403/, /EDGE_ID/],
  ['a login page', failing('302 sends the agent elsewhere: https://sso'), 'edge', 'https://p', /302/, /login page/],
  ['another server', failing('parse poll answer: it is not JSON'), 'edge', 'https://p', /not JSON/, /not Portainer/],
  ['a broken proxy', failing('502 from Portainer or a proxy before it'), 'edge', 'https://p', /502/, /log of Portainer/],
  ['no DNS', failing('GET https://p/api: getaddrinfo ENOTFOUND p'), 'edge', 'https://p', /ENOTFOUND/, /DNS/],
  ['a strange certificate', failing('GET https://p/api: self-signed certificate'), 'edge', 'https://p', /self-signed/, /MTLS_SSL_CA/],
  ['a missing certificate file', failing('GET https://p/api: ENOENT: no such file, stat c.pem'), 'edge', 'https://p', /ENOENT/, /MTLS_SSL_CERT/],
  ['a server that is down', failing('GET https://p/api: connect ECONNREFUSED'), 'edge', 'https://p', /REFUSED/, /nothing listens/],
  ['a firewall', failing('GET https://p/api: no answer in 10000 ms'), 'edge', 'https://p', /no answer/, /firewall/],
  ['a wrong fingerprint', waiting('check host key of tunnel server: fingerprint x is not the one of the Edge key'), 'tunnel', null, /fingerprint/, /another server answers/],
  ['refused credentials', waiting('log in to tunnel server: credentials refused'), 'tunnel', null, /credentials/, /EDGE_ID/],
  ['another Edge ID', waiting('decrypt tunnel credentials: they were made for another Edge ID'), 'tunnel', null, /decrypt/, /EDGE_ID/],
  ['a taken port', waiting('open tunnel: refused: Server cannot listen on R:50000'), 'tunnel', null, /cannot listen/, /taken/],
  ['a tunnel behind a proxy', waiting('the proxy refused: HTTP/1.1 403 Forbidden'), 'tunnel', null, /proxy/, /HTTPS_PROXY/],
  ['no websockets', waiting('Unexpected server response: 404'), 'tunnel', null, /404/, /websockets/],
  ['a tunnel without DNS', waiting('dial tunnel server t:8000: getaddrinfo EAI_AGAIN t'), 'tunnel', null, /EAI_AGAIN/, /DNS/],
  ['a tunnel in TLS that fails', waiting('dial tunnel server t:443: certificate has expired'), 'tunnel', null, /expired/, /TLS fails/],
  ['a tunnel in TLS of an unknown CA', waiting('dial tunnel server t:443 by proxy p:1: unable to get local issuer certificate'), 'tunnel', null, /issuer/, /SSL_CERT_FILE/],
  ['a tunnel port without TLS', waiting('dial tunnel server t:80: write EPROTO 80:error:0A00010B:SSL routines::wrong version number'), 'tunnel', null, /EPROTO/, /TLS fails/],
  ['a closed port of a host with a telling name', waiting('dial tunnel server ssl.listen.taken.corp:8404: connect ECONNREFUSED'), 'tunnel', null, /REFUSED/, /published/],
  ['a closed port of such a Portainer', failing('GET https://tls.certificate.corp/api: connect ECONNREFUSED'), 'edge', 'https://p', /REFUSED/, /nothing listens/],
  ['polls behind a proxy', failing('the proxy refused: HTTP/1.1 407 Proxy Authentication Required'), 'edge', 'https://p', /407/, /HTTPS_PROXY/],
  ['a tunnel port that is closed', waiting('dial tunnel server t:8000: connect ECONNREFUSED'), 'tunnel', null, /REFUSED/, /published/],
]; // biome-ignore format: a table

describe('doctor of Edge mode', () => {
  testIllnesses(cases);

  it('has nothing to say outside Edge mode, and no complaint where all is well', () => {
    assert.deepEqual(checkEdge(healthy), []);
    const well: readonly EdgeState[] = [
      { kind: 'resting', reason: 'not-leader' },
      polling,
      { ...polling, tunnel: { kind: 'open', port: 1, sinceMs: 1, channels: 0 } },
    ];
    for (const edge of well) {
      const checks = checkEdge({ ...healthy, edge });
      assert.ok(checks.length > 0);
      assert.deepEqual(
        checks.filter(({ level }) => level !== 'ok'),
        [],
      );
    }
  });
});
