// Addresses, fingerprints and credentials as tables: the recorded ones, and those that must be refused.

import assert from 'node:assert/strict';
import { tunnelVectors } from '../../../test/support/tunnel-vectors.ts';
import { parseTunnelAddress, toHostPort } from './address.ts';
import { decryptCredentials } from './credentials.ts';
import { assertFingerprint, isFingerprintOf } from './fingerprint.ts';

const { chisel, edgeCredentials } = tunnelVectors;
const blob = Buffer.from(chisel.hostKey.publicKeyBlobHex, 'hex');

describe('E4 fingerprint of a tunnel server', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    [chisel.fingerprintSha256Base64, true],
    [chisel.fingerprintSha256Base64.replace('=', ''), true],
    [`SHA256:${chisel.fingerprintSha256Base64.replace('=', '')}`, true],
    [chisel.fingerprintMd5Colon, true],
    [chisel.fingerprintMd5Colon.toUpperCase(), true],
    [`MD5:${chisel.fingerprintMd5Colon}`, true],
    // The original takes these.
    [chisel.fingerprintMd5PrefixAccepted, false],
    ['', false],
    ['LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=', false],
    [chisel.fingerprintMd5Colon.replace('a1', 'a2'), false],
    [chisel.fingerprintSha256Base64.slice(0, 42), false],
  ];
  for (const [expected, accepted] of cases) {
    it(`${accepted ? 'accepts' : 'refuses'} ${JSON.stringify(expected)}`, () => {
      assert.equal(isFingerprintOf(blob, expected), accepted);
    });
  }

  it('says which one it met', () => {
    assert.throws(() => assertFingerprint(blob, 'x'), {
      code: 'member-untrusted',
      message: /fingerprint wY9EIpAyb48SmO6YbjtgvR\+\+gVm2HhFLLUSSKXBsoV8= is not/,
    });
  });
});

describe('E3 tunnel credentials', () => {
  for (const { edgeId, encodedBase64NoPadding, username, password } of edgeCredentials.valid) {
    it(`are decrypted for ${edgeId}`, () => {
      assert.deepEqual(decryptCredentials(encodedBase64NoPadding, edgeId), { user: username, password });
    });
  }
  const [valid] = edgeCredentials.valid;
  assert.ok(valid);
  const refused = [
    ...edgeCredentials.invalid,
    { name: 'nothing', edgeId: valid.edgeId, encodedBase64NoPadding: '' },
    { name: 'not base64', edgeId: valid.edgeId, encodedBase64NoPadding: '%%%' },
    { name: 'too long', edgeId: valid.edgeId, encodedBase64NoPadding: 'A'.repeat(5_000) },
    { name: 'cut', edgeId: valid.edgeId, encodedBase64NoPadding: valid.encodedBase64NoPadding.slice(0, -4) },
  ];
  for (const { name, edgeId, encodedBase64NoPadding } of refused) {
    it(`are refused: ${name}`, () => {
      assert.throws(
        () => decryptCredentials(encodedBase64NoPadding, edgeId),
        (error: Error & { readonly code?: string }) =>
          error.code === 'protocol-violation' && !error.message.includes(valid.password),
      );
    });
  }
});

describe('tunnel address', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['portainer.example.com:8000', 'chisel portainer.example.com:8000 false'],
    ['10.0.0.1:8000', 'chisel 10.0.0.1:8000 false'],
    ['[fd00::1]:8000', 'chisel [fd00::1]:8000 false'],
    ['http://proxy.example.com', 'chisel proxy.example.com:80 false'],
    ['https://proxy.example.com', 'chisel proxy.example.com:443 true'],
    ['https://proxy.example.com:8443/', 'chisel proxy.example.com:8443 true'],
    ['ssh://host.example.com', 'ssh host.example.com:22 false'],
    ['ssh://[fd00::1]:2222', 'ssh [fd00::1]:2222 false'],
  ];
  for (const [text, expected] of cases) {
    it(`is read: ${text}`, () => {
      const address = parseTunnelAddress(text);
      assert.equal(`${address.transport} ${toHostPort(address)} ${address.tls}`, expected);
      assert.equal(address.host.includes('['), false);
    });
  }
  for (const text of ['', 'ftp://host:21', ':8000', 'host:port']) {
    it(`is refused: ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseTunnelAddress(text), { code: 'config-invalid' });
    });
  }
});
