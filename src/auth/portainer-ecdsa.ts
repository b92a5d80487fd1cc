// Verifies Portainer's request signature: ECDSA over the MD5 digest of a fixed text or of the secret, raw r and s,
// unpadded base64 (agent-api.md 5.2). It covers neither request nor time; the server knows no other.

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { AgentError } from '../errors.ts';

/** What is signed where there is no secret. */
export const defaultMessage = 'Portainer-App';

const unpaddedBase64 = /^[A-Za-z0-9+/]+$/;

export interface ParsedKey {
  readonly key: KeyObject;
  /** Lower-case hex. */
  readonly hex: string;
  /** r and s together. */
  readonly signatureBytes: number;
}

const curveBytes = new Map([
  ['prime256v1', 32],
  ['secp384r1', 48],
  ['secp521r1', 66],
]);

/** Throws `signature-invalid` for anything that is not the hex of an EC SubjectPublicKeyInfo. */
export function parsePublicKey(text: string): ParsedKey {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(text)) throw malformed('public key is not hex');
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(text, 'hex'), format: 'der', type: 'spki' });
  } catch (error) {
    throw new AgentError('signature-invalid', 'parse public key: not a PKIX key', { cause: error });
  }
  const bytes = curveBytes.get(key.asymmetricKeyDetails?.namedCurve ?? '');
  if (key.asymmetricKeyType !== 'ec' || bytes === undefined)
    throw malformed('public key is not on a known curve');
  return { key, hex: text.toLowerCase(), signatureBytes: 2 * bytes };
}

/** Throws `signature-invalid` where the text is not unpadded standard base64; the length is left to the verifier. */
export function parseSignature(text: string): Buffer {
  if (text.length % 4 === 1 || !unpaddedBase64.test(text))
    throw malformed('signature is not unpadded base64');
  return Buffer.from(text, 'base64');
}

/** Runs on libuv's pool, not on the event loop. */
export function verifySignature(
  message: Buffer,
  { key, signatureBytes }: ParsedKey,
  signature: Buffer,
): Promise<boolean> {
  if (signature.length !== signatureBytes) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    verify('md5', message, { key, dsaEncoding: 'ieee-p1363' }, signature, (error, valid) => {
      if (error === null) resolve(valid);
      else reject(error);
    });
  });
}

function malformed(reason: string): AgentError {
  return new AgentError('signature-invalid', `parse signature headers: ${reason}`);
}
