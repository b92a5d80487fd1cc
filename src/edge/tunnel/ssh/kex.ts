// The key exchange (RFC 4253 §7-8, RFC 8731): what is offered, the exchange hash, the host's signature, the keys.
// Pure. One choice of each algorithm, the one that every chisel server has; no weaker one is ever agreed on.

import {
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  verify,
} from 'node:crypto';
import { AgentError, toAgentError } from '../../../errors.ts';
import { msg } from './numbers.ts';
import type { PacketKey } from './packets.ts';
import { createWireReader, message, mpint, string } from './wire.ts';

export interface EphemeralKey {
  readonly privateKey: KeyObject;
  /** 32 bytes. */
  readonly publicBytes: Buffer;
}

/** What both sides said, as it goes into the hash. */
export interface Exchange {
  readonly clientIdent: string;
  readonly serverIdent: string;
  readonly clientInit: Buffer;
  readonly serverInit: Buffer;
  readonly hostKey: Buffer;
  readonly clientPublic: Buffer;
  readonly serverPublic: Buffer;
  readonly secret: Buffer;
}

export interface Agreement {
  /** Both ends know strict key exchange (against CVE-2023-48795): nothing but the exchange until keys are in use. */
  readonly strict: boolean;
  /** The server guessed wrong: its next packet is not for us. */
  readonly skipsGuess: boolean;
}

/** The older name of the same method is all that servers of 2019 have. */
export const kexMethods: readonly string[] = ['curve25519-sha256', 'curve25519-sha256@libssh.org'];
const strictClient = 'kex-strict-c-v00@openssh.com';
const strictServer = 'kex-strict-s-v00@openssh.com';
const hostKeyType = 'ecdsa-sha2-nistp256';
const cipher = 'aes128-gcm@openssh.com';
/** GCM needs none, but the list may not be empty. */
const mac = 'hmac-sha2-256';
const compression = 'none';
const cookieBytes = 16;
const x25519Bytes = 32;
const coordinateBytes = 32;

export function encodeKexInit(cookie: Buffer, methods: readonly string[] = kexMethods): Buffer {
  const lists = [[...methods, strictClient].join(','), hostKeyType, cipher, cipher, mac, mac];
  return message(
    msg.kexInit,
    cookie,
    ...[...lists, compression, compression, '', ''].map((list) => string(list)),
    Buffer.alloc(5),
  );
}

/** Throws `protocol-violation` when the server has none of ours. */
export function agreeOn(serverInit: Buffer): Agreement {
  const reader = createWireReader(serverInit);
  reader.skip(1 + cookieBytes);
  const [methods, hostKeys, toServer, toClient, , , packing, unpacking] = Array.from({ length: 10 }, () =>
    reader.names(),
  );
  const guesses = reader.u8() !== 0;
  const method = kexMethods.find((name) => methods?.includes(name));
  const has: readonly (readonly [string, boolean])[] = [
    ['key exchange', method !== undefined],
    ['host key', hostKeys?.includes(hostKeyType) === true],
    ['cipher', toServer?.includes(cipher) === true && toClient?.includes(cipher) === true],
    ['compression', packing?.includes(compression) === true && unpacking?.includes(compression) === true],
  ];
  const missing = has.filter(([, agreed]) => !agreed).map(([what]) => what);
  if (missing.length > 0)
    throw new AgentError('protocol-violation', `agree with tunnel server: no common ${missing.join(', ')}`);
  const guessedRight = methods?.[0] === kexMethods[0] && hostKeys?.[0] === hostKeyType;
  return { strict: methods?.includes(strictServer) === true, skipsGuess: guesses && !guessedRight };
}

export function createEphemeralKey(): EphemeralKey {
  return toEphemeralKey(generateKeyPairSync('x25519').privateKey);
}

export function toEphemeralKey(privateKey: KeyObject): EphemeralKey {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, publicBytes: Buffer.from(x, 'base64url') };
}

/** Throws when the server's point is no point, or one that gives no secret. */
export function sharedSecret({ privateKey }: EphemeralKey, serverPublic: Buffer): Buffer {
  try {
    if (serverPublic.length !== x25519Bytes) throw new Error(`${serverPublic.length} bytes`);
    const jwk = { kty: 'OKP', crv: 'X25519', x: serverPublic.toString('base64url') };
    return diffieHellman({ privateKey, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) });
  } catch (error) {
    throw toAgentError(error, 'protocol-violation', 'use key of tunnel server');
  }
}

export function exchangeHash(exchange: Exchange): Buffer {
  const { clientIdent, serverIdent, clientInit, serverInit, hostKey, clientPublic, serverPublic } = exchange;
  const parts = [clientIdent, serverIdent, clientInit, serverInit, hostKey, clientPublic, serverPublic];
  return sha256(...parts.map(string), mpint(exchange.secret));
}

/** Without this the fingerprint would prove nothing: anybody can send the host's public key. */
export function assertHostSignature(hostKey: Buffer, signature: Buffer, hash: Buffer): void {
  const attempted = 'verify host key of tunnel server';
  let isGood: boolean;
  try {
    isGood = verify(
      'sha256',
      hash,
      { key: toPublicKey(hostKey), dsaEncoding: 'ieee-p1363' },
      toRaw(signature),
    );
  } catch (error) {
    throw toAgentError(error, 'protocol-violation', attempted);
  }
  if (!isGood) throw new AgentError('protocol-violation', `${attempted}: its signature is not by that key`);
}

/** RFC 4253 §7.2, for the letters of the two directions. */
export function deriveKeys(
  secret: Buffer,
  hash: Buffer,
  sessionId: Buffer,
): { readonly toServer: PacketKey; readonly toClient: PacketKey } {
  const derive = (letter: string, bytes: number): Buffer =>
    sha256(mpint(secret), hash, Buffer.from(letter), sessionId).subarray(0, bytes);
  return {
    toServer: { nonce: derive('A', 12), key: derive('C', 16) },
    toClient: { nonce: derive('B', 12), key: derive('D', 16) },
  };
}

function toPublicKey(blob: Buffer): KeyObject {
  const reader = createWireReader(blob);
  const type = reader.text();
  const curve = reader.text();
  const point = reader.string();
  if (
    type !== hostKeyType ||
    curve !== 'nistp256' ||
    point.length !== 1 + 2 * coordinateBytes ||
    point[0] !== 4
  )
    throw new Error(`not an ${hostKeyType} key`);
  const coordinate = (index: number): string =>
    point.subarray(1 + index * coordinateBytes, 1 + (index + 1) * coordinateBytes).toString('base64url');
  const jwk = { kty: 'EC', crv: 'P-256', x: coordinate(0), y: coordinate(1) };
  return createPublicKey({ key: jwk, format: 'jwk' });
}

/** Two mpints → r and s at their full width, as Node wants them. */
function toRaw(signature: Buffer): Buffer {
  const outer = createWireReader(signature);
  if (outer.text() !== hostKeyType) throw new Error(`not an ${hostKeyType} signature`);
  const inner = createWireReader(outer.string());
  const number = (): Buffer => {
    const bytes = inner.string();
    const digits = bytes[0] === 0 ? bytes.subarray(1) : bytes;
    if (digits.length > coordinateBytes) throw new Error('signature out of range');
    return Buffer.concat([Buffer.alloc(coordinateBytes - digits.length), digits]);
  };
  return Buffer.concat([number(), number()]);
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
