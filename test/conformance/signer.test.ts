// The signer is checked against the recorded keys, by OpenSSL, which it does not use for signing.

import { deepEqual, equal } from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { createSigner } from '../support/signer.ts';
import { vectors } from '../support/vectors.ts';

describe('test signer', () => {
  for (const secret of [undefined, vectors.signature.secret]) {
    it(`makes signatures that OpenSSL accepts, ${secret === undefined ? 'without' : 'with'} a secret`, () => {
      const { privateKeyPkcs8Pem, publicKeyHex } = vectors.signature.keyA;
      const signer = createSigner({
        privateKeyPem: privateKeyPkcs8Pem,
        ...(secret !== undefined && { secret }),
      });
      equal(signer.publicKeyHex, publicKeyHex);
      const key = createPublicKey({ key: Buffer.from(publicKeyHex, 'hex'), format: 'der', type: 'spki' });
      for (let round = 0; round < 8; round += 1) {
        const headers = signer.headers();
        const text = headers['X-PortainerAgent-Signature'];
        equal(text.length, 86);
        const message = Buffer.from(secret ?? 'Portainer-App');
        const signature = Buffer.from(text, 'base64');
        equal(verify('md5', message, { key, dsaEncoding: 'ieee-p1363' }, signature), true);
        equal(verify('md5', Buffer.from('other'), { key, dsaEncoding: 'ieee-p1363' }, signature), false);
      }
    });
  }

  it('reads both forms of a private key and makes new ones', () => {
    const { privateKeyPkcs8Pem, privateKeySec1Pem } = vectors.signature.keyA;
    equal(
      createSigner({ privateKeyPem: privateKeySec1Pem }).publicKeyHex,
      createSigner({ privateKeyPem: privateKeyPkcs8Pem }).publicKeyHex,
    );
    const fresh = createSigner();
    deepEqual(createSigner({ privateKeyPem: fresh.privateKeyPem }).publicKeyHex, fresh.publicKeyHex);
  });
});
