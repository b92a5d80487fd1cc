// A self-signed certificate with its key, for servers in TLS that a test starts.

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { writeCertificate } from '../../src/auth/self-signed.ts';

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

const dayMs = 86_400_000;

export function createTestCertificate(...names: readonly string[]): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = writeCertificate({
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    serial: Buffer.concat([Buffer.from([1]), randomBytes(8)]),
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + dayMs),
    names,
    sign: (tbs) => sign('sha256', tbs, privateKey),
  });
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
