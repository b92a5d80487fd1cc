// Certificates as other implementations read them, and over a real TLS 1.3 connection.

import assert from 'node:assert/strict';
import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { createIdentity, createServerCertificate, fingerprintOf } from './identity.ts';
import { writeCertificate } from './self-signed.ts';

describe('identity', () => {
  it('makes a certificate that verifies with its own key and matches its private key', async () => {
    const { peer } = await createIdentity();
    const parsed = new X509Certificate(peer.cert);
    assert.equal(parsed.verify(parsed.publicKey), true);
    assert.equal(parsed.checkPrivateKey(createPrivateKey(peer.key)), true);
    assert.equal(parsed.ca, false);
  });

  it('gives the fingerprint that Node computes, without colons and in lower case', async () => {
    const { peer } = await createIdentity();
    const parsed = new X509Certificate(peer.cert);
    assert.equal(peer.fingerprint, parsed.fingerprint256.replaceAll(':', '').toLowerCase());
    assert.equal(fingerprintOf(parsed.raw), peer.fingerprint);
  });

  it('has the names, life and empty subject of the compat certificate', async () => {
    const { cert } = await createServerCertificate(['10.0.0.7', 'fd00::1:2', '::ffff:1.2.3.4']);
    const parsed = new X509Certificate(cert);
    assert.equal(parsed.subject, undefined);
    assert.equal(parsed.issuer, undefined);
    assert.equal(parsed.checkHost('localhost'), 'localhost');
    assert.equal(parsed.checkIP('10.0.0.7'), '10.0.0.7');
    assert.equal(parsed.checkIP('fd00::1:2'), 'fd00::1:2');
    assert.equal(parsed.checkIP('::ffff:1.2.3.4'), '::ffff:1.2.3.4');
    assert.equal(parsed.checkIP('10.0.0.8'), undefined);
    assert.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    const lifeDays = (parsed.validToDate.getTime() - Date.now()) / 86_400_000;
    assert.ok(lifeDays > 364 && lifeDays < 366, `valid for ${lifeDays} days`);
  });

  it('never makes two alike', async () => {
    const [one, other] = await Promise.all([createIdentity(), createIdentity()]);
    assert.equal(one.seed.length, 32);
    assert.notDeepEqual(one.seed, other.seed);
    assert.notEqual(one.peer.fingerprint, other.peer.fingerprint);
    assert.notEqual(
      new X509Certificate(one.peer.cert).serialNumber,
      new X509Certificate(other.peer.cert).serialNumber,
    );
  });

  it('carries mutual TLS 1.3 in which both sides see the other fingerprint', async () => {
    const [server, client] = await Promise.all([createIdentity(), createIdentity()]);
    const listener = tls.createServer({
      ...server.peer,
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: false,
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const seen = once(listener, 'secureConnection') as Promise<[tls.TLSSocket]>;
    const { port } = listener.address() as AddressInfo;
    const socket = tls.connect({ ...client.peer, host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const [accepted] = await seen;
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    assert.equal(
      fingerprintOf(socket.getPeerX509Certificate()?.raw ?? Buffer.alloc(0)),
      server.peer.fingerprint,
    );
    assert.equal(
      fingerprintOf(accepted.getPeerX509Certificate()?.raw ?? Buffer.alloc(0)),
      client.peer.fingerprint,
    );
    socket.destroy();
    accepted.destroy();
    listener.close();
    await once(listener, 'close');
  });

  it('writes dates behind 2049 in the long form', async () => {
    const { cert, key } = await createServerCertificate([]);
    const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
    const raw = writeCertificate({
      publicKey: spki,
      serial: Buffer.from('000000ff', 'hex'),
      notBefore: new Date('2049-12-31T23:59:59Z'),
      notAfter: new Date('2050-01-01T00:00:00Z'),
      names: ['localhost'],
      sign: (tbs) => sign('sha256', tbs, key),
    });
    const parsed = new X509Certificate(raw);
    assert.equal(parsed.validFromDate.toISOString(), '2049-12-31T23:59:59.000Z');
    assert.equal(parsed.validToDate.toISOString(), '2050-01-01T00:00:00.000Z');
    assert.equal(parsed.serialNumber, 'FF');
  });
});
