// Signs requests as a Portainer server does, for tests, the demo and scripts that call an agent.
// ECDSA is written out here on purpose: the agent verifies with OpenSSL, so a shared mistake would go unseen.

import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';

export interface SignerOptions {
  /** `AGENT_SECRET` of the agent; without it the fixed text is signed. */
  readonly secret?: string;
  /** SEC1 or PKCS#8 PEM of a P-256 key; without it a new key is made. */
  readonly privateKeyPem?: string;
}

export interface Signer {
  /** Hex of the DER SubjectPublicKeyInfo. */
  readonly publicKeyHex: string;
  readonly privateKeyPem: string;
  /** A fresh signature each time, as the server sends it. */
  headers(): Record<'X-PortainerAgent-PublicKey' | 'X-PortainerAgent-Signature', string>;
}

export function createSigner({ secret, privateKeyPem }: SignerOptions = {}): Signer {
  const key = privateKeyPem === undefined ? newKey() : createPrivateKey(privateKeyPem);
  const jwk = key.export({ format: 'jwk' });
  if (jwk.d === undefined || jwk.x === undefined || jwk.y === undefined || jwk.crv !== 'P-256') {
    throw new Error('sign requests: a P-256 private key is needed');
  }
  const privateScalar = toInteger(Buffer.from(jwk.d, 'base64url'));
  const point = Buffer.concat([Buffer.from(jwk.x, 'base64url'), Buffer.from(jwk.y, 'base64url')]);
  const publicKeyHex = `${spkiPrefixHex}${point.toString('hex')}`;
  const digest = toInteger(
    createHash('md5')
      .update(secret ?? 'Portainer-App')
      .digest(),
  );
  return {
    publicKeyHex,
    privateKeyPem: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
    headers: () => ({
      'X-PortainerAgent-PublicKey': publicKeyHex,
      'X-PortainerAgent-Signature': signDigest(digest, privateScalar).toString('base64').replaceAll('=', ''),
    }),
  };
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** SubjectPublicKeyInfo of an uncompressed P-256 point, up to the point's coordinates (RFC 5480). */
const spkiPrefixHex = '3059301306072a8648ce3d020106082a8648ce3d03010703420004';

// The curve P-256 (SEC 2, section 2.4.2).
const fieldPrime = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const groupOrder = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const curveA = fieldPrime - 3n;
const generator: Point = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};
const scalarBytes = 32;

/** A point of the curve; undefined is the point at infinity. */
type Point = { readonly x: bigint; readonly y: bigint } | undefined;

/** r and s, big-endian and zero-padded (FIPS 186-4, 6.4). The digest is shorter than the order and used as it is. */
function signDigest(digest: bigint, privateScalar: bigint): Buffer {
  for (;;) {
    const nonce = toInteger(randomBytes(scalarBytes)) % groupOrder;
    const r = (multiply(generator, nonce)?.x ?? 0n) % groupOrder;
    if (r === 0n) continue;
    const s = modulo(inverse(nonce, groupOrder) * (digest + r * privateScalar), groupOrder);
    if (s !== 0n) return Buffer.from(toHex(r) + toHex(s), 'hex');
  }
}

function multiply(point: Point, scalar: bigint): Point {
  let sum: Point;
  let doubled = point;
  for (let bits = scalar; bits > 0n; bits >>= 1n) {
    if ((bits & 1n) === 1n) sum = add(sum, doubled);
    doubled = add(doubled, doubled);
  }
  return sum;
}

function add(left: Point, right: Point): Point {
  if (left === undefined) return right;
  if (right === undefined) return left;
  if (left.x === right.x && modulo(left.y + right.y, fieldPrime) === 0n) return undefined;
  const slope =
    left.x === right.x
      ? (3n * left.x * left.x + curveA) * inverse(2n * left.y, fieldPrime)
      : (right.y - left.y) * inverse(right.x - left.x, fieldPrime);
  const x = modulo(slope * slope - left.x - right.x, fieldPrime);
  return { x, y: modulo(slope * (left.x - x) - left.y, fieldPrime) };
}

/** By the extended Euclidean algorithm. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [low, high] = [modulo(value, modulus), modulus];
  let [factor, before] = [1n, 0n];
  while (low > 0n) {
    const quotient = high / low;
    [low, high] = [high - quotient * low, low];
    [factor, before] = [before - quotient * factor, factor];
  }
  return modulo(before, modulus);
}

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function toInteger(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

function toHex(value: bigint): string {
  return value.toString(16).padStart(scalarBytes * 2, '0');
}
