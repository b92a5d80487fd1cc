// Encrypts a tunnel's user and password as Portainer does, written from the protocol and not from the agent's code.

import { createCipheriv, createHash, randomBytes } from 'node:crypto';

/** The key is the text of the MD5's hex, not its bytes. */
export function encryptCredentials(edgeId: string, user: string, password: string): string {
  const key = createHash('md5').update(edgeId).digest('hex');
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'ascii'), nonce);
  const sealed = [nonce, cipher.update(`${user}:${password}`), cipher.final(), cipher.getAuthTag()];
  return Buffer.concat(sealed).toString('base64').replaceAll('=', '');
}
