// Derives the pre-shared key that closes the gossip from the cluster secret, in the form that libp2p reads.
// scrypt, because secrets are often words and what the key encrypts begins with known text: a guess costs 16 MiB.

import { scrypt } from 'node:crypto';

const salt = 'flotilla cluster v1';
const keyBytes = 32;

export async function derivePreSharedKey(secret: string): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  scrypt(secret, salt, keyBytes, { N: 16_384, r: 8, p: 1 }, (error, key) => {
    if (error !== null) reject(error);
    else resolve(key);
  });
  const key = await promise;
  // The file format of libp2p's private networks (libp2p specs, pnet).
  return Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${key.toString('hex')}`);
}
