// What an agent is to the others: an Ed25519 seed that names it in the gossip, and a certificate that its record pins.
// Both are new at each start and never leave memory; nothing on disk can be stolen or go stale.

import { createHash, generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { writeCertificate } from './self-signed.ts';

/** A certificate with its key, as `tls.createServer` and `tls.connect` take them. */
export interface TlsCertificate {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS#8. */
  readonly key: string;
  /** SHA-256 of the certificate's DER, lower-case hex without colons, as in `MemberRecord.tlsFingerprint`. */
  readonly fingerprint: string;
}

export interface Identity {
  /** Raw 32-byte Ed25519 seed, as libp2p's key factory takes it. */
  readonly seed: Uint8Array;
  /** Server and client certificate on the peer listener, for TLS 1.3. */
  readonly peer: TlsCertificate;
}

/** A fresh identity: a restarted agent is somebody else, and its old certificate is worth nothing. */
export async function createIdentity(): Promise<Identity> {
  return { seed: new Uint8Array(randomBytes(32)), peer: await createCertificate([]) };
}

/** The compat listener's certificate (agent-api.md 3.2), for `localhost` and these literal addresses. */
export function createServerCertificate(addresses: readonly string[]): Promise<TlsCertificate> {
  return createCertificate(addresses);
}

/**
 * EC P-256 where the Portainer agent has RSA 2048: an RSA key takes some 100 ms of the 500 that a start may take.
 * Nobody verifies the chain: Portainer skips it, and agents compare the fingerprint.
 */
async function createCertificate(addresses: readonly string[]): Promise<TlsCertificate> {
  const { publicKey, privateKey } = await newKeyPair('ec', { namedCurve: 'P-256' });
  const now = Date.now();
  const certificate = writeCertificate({
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    serial: newSerial(),
    // An hour early: the other side's clock may be behind ours.
    notBefore: new Date(now - clockSkewMs),
    notAfter: new Date(now + validityMs),
    names: ['localhost', ...addresses],
    sign: (tbs) => sign('sha256', tbs, privateKey),
  });
  return { cert: toPem(certificate), key: toPkcs8(privateKey), fingerprint: fingerprintOf(certificate) };
}

/** SHA-256 of a certificate's DER in the form that member records carry. */
export function fingerprintOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('hex');
}

/** 128 random bits, never zero, positive without a padding byte. */
function newSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

function toPem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function toPkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

const newKeyPair = promisify(generateKeyPair);
const clockSkewMs = 3_600_000;
const validityMs = 365 * 24 * 3_600_000;
