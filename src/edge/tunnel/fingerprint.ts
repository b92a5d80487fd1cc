// Decides whether a host key is the one that the Edge key names. Pure.
// Portainer writes SHA-256 in base64 since 2.20 and colon-separated MD5 before; ssh-keygen's prefixes are read too.

import { createHash, timingSafeEqual } from 'node:crypto';
import { AgentError } from '../../errors.ts';

const md5Form = /^(?:[0-9a-f]{2}:){15}[0-9a-f]{2}$/;
const sha256Form = /^[A-Za-z0-9+/]{43}=?$/;

/** Throws `member-untrusted` when the key is another one, or when the expected text proves nothing. */
export function assertFingerprint(hostKey: Buffer, expected: string): void {
  if (!isFingerprintOf(hostKey, expected))
    throw new AgentError(
      'member-untrusted',
      `check host key of tunnel server: fingerprint ${fingerprintOf(hostKey)} is not the one of the Edge key`,
    );
}

export function isFingerprintOf(hostKey: Buffer, expected: string): boolean {
  const md5 = expected.replace(/^MD5:/, '').toLowerCase();
  // All sixteen bytes: the original takes a beginning of them, which is cheap to forge.
  if (md5Form.test(md5)) return isSame(Buffer.from(md5.replaceAll(':', ''), 'hex'), digest('md5', hostKey));
  const sha256 = expected.replace(/^SHA256:/, '');
  return sha256Form.test(sha256) && isSame(Buffer.from(sha256, 'base64'), digest('sha256', hostKey));
}

/** In the form that Portainer writes today. */
export function fingerprintOf(hostKey: Buffer): string {
  return digest('sha256', hostKey).toString('base64');
}

function digest(algorithm: 'md5' | 'sha256', bytes: Buffer): Buffer {
  return createHash(algorithm).update(bytes).digest();
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
