// Decrypts what a poll gives to log in to the tunnel server: AES-256-GCM under the Edge ID. Pure.
// Errors never hold the text, nor the reason of the cipher: both would be of use to whoever sent it only.

import { createDecipheriv, createHash } from 'node:crypto';
import { AgentError } from '../../errors.ts';

export interface TunnelCredentials {
  readonly user: string;
  readonly password: string;
}

/** Portainer's have some 60 characters. */
const maxCredentialsChars = 4_096;
const nonceBytes = 12;
const tagBytes = 16;

/** Throws `protocol-violation`. */
export function decryptCredentials(text: string, edgeId: string): TunnelCredentials {
  const match = /^([A-Za-z0-9+/]+)={0,2}$/.exec(text);
  if (match === null || text.length > maxCredentialsChars) throw refused('they are not base64');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length <= nonceBytes + tagBytes) throw refused('they are too short');
  // The 32 characters of the hash are the key, not its 16 bytes: that is the contract.
  const key = Buffer.from(createHash('md5').update(edgeId).digest('hex'), 'latin1');
  const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  cipher.setAuthTag(bytes.subarray(-tagBytes));
  let plain: string;
  try {
    const head = cipher.update(bytes.subarray(nonceBytes, -tagBytes));
    plain = Buffer.concat([head, cipher.final()]).toString('utf8');
  } catch (error) {
    throw new AgentError(
      'protocol-violation',
      'decrypt tunnel credentials: they were made for another Edge ID',
      {
        cause: error,
      },
    );
  }
  const colon = plain.indexOf(':');
  if (colon < 1) throw refused('they are no user and password');
  return { user: plain.slice(0, colon), password: plain.slice(colon + 1) };
}

function refused(reason: string): AgentError {
  return new AgentError('protocol-violation', `decrypt tunnel credentials: ${reason}`);
}
