// The text form of a libp2p peer id of an Ed25519 key: base58 of the multihash that contains the public key itself.
// Pure. Written out here so that a record can be checked, and a lone agent named, without loading libp2p.

import { AgentError } from '../errors.ts';

const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** Identity multihash of 36 bytes: a protobuf with key type 1 (Ed25519) and 32 bytes of key (libp2p peer-ids spec). */
const prefix = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
const publicKeyBytes = 32;
/** An Ed25519 peer id has 52 digits. */
const maxTextLength = 64;

export function toPeerId(publicKey: Uint8Array): string {
  if (publicKey.length !== publicKeyBytes) {
    throw new AgentError(
      'protocol-violation',
      `make peer id: ${publicKey.length} bytes of public key, not 32`,
    );
  }
  const bytes = Buffer.concat([prefix, publicKey]);
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  while (value > 0n) {
    text = `${alphabet[Number(value % 58n)]}${text}`;
    value /= 58n;
  }
  // Base58 writes each leading zero byte as its zero digit; the prefix has exactly one.
  return `1${text}`;
}

/** The public key inside a peer id. Throws for any other kind of id and for any second spelling of the same id. */
export function parsePeerId(text: string): Uint8Array {
  const fault = new AgentError('protocol-violation', `parse peer id: not an Ed25519 peer id`);
  if (text.length > maxTextLength) throw fault;
  let value = 0n;
  for (const digit of text) {
    const index = alphabet.indexOf(digit);
    if (index < 0) throw fault;
    value = value * 58n + BigInt(index);
  }
  const hex = value.toString(16).padStart((prefix.length + publicKeyBytes) * 2, '0');
  const bytes = Buffer.from(hex, 'hex');
  const key = bytes.subarray(prefix.length);
  if (key.length !== publicKeyBytes || !bytes.subarray(0, prefix.length).equals(prefix)) throw fault;
  if (toPeerId(key) !== text) throw fault;
  return new Uint8Array(key);
}
