// Writes one self-signed X.509 certificate in DER: EC P-256, empty subject and issuer, server and client use.
// Written by hand: @peculiar/x509 with what it needs costs 27 MB of resident memory and 90 ms (measured), for one shape.

import { isIP } from 'node:net';

export interface CertificateShape {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** Up to 20 bytes, random. */
  readonly serial: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Host names and literal addresses of the subject alternative name. */
  readonly names: readonly string[];
  /** Signs with ECDSA and SHA-256, signature in DER. */
  readonly sign: (tbs: Buffer) => Buffer;
}

/** The certificate in DER (RFC 5280 section 4.1). */
export function writeCertificate(shape: CertificateShape): Buffer {
  const tbs = sequence(
    tagged(0, integer(Buffer.from([2]))),
    integer(shape.serial),
    ecdsaWithSha256,
    sequence(),
    sequence(time(shape.notBefore), time(shape.notAfter)),
    sequence(),
    shape.publicKey,
    tagged(3, sequence(...extensions(shape.names))),
  );
  return sequence(tbs, ecdsaWithSha256, bitString(shape.sign(tbs)));
}

function extensions(names: readonly string[]): Buffer[] {
  return [
    extension('551d0f', true, Buffer.from('03020780', 'hex')), // key usage: digitalSignature
    extension('551d25', false, sequence(oid('2b06010505070301'), oid('2b06010505070302'))), // serverAuth, clientAuth
    extension('551d13', true, sequence()), // basic constraints: CA:FALSE, by its default
    // Critical, because the subject is empty (RFC 5280 section 4.2.1.6).
    extension('551d11', true, sequence(...names.map(generalName))),
  ];
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [Buffer.from('0101ff', 'hex')] : []), der(0x04, value));
}

function generalName(name: string): Buffer {
  const family = isIP(name);
  if (family === 0) return der(0x82, Buffer.from(name, 'latin1'));
  return der(0x87, family === 4 ? Buffer.from(name.split('.').map(Number)) : ipv6Bytes(name));
}

/** `new URL` writes any IPv6 form, embedded IPv4 included, as plain hexadecimal groups. */
function ipv6Bytes(address: string): Buffer {
  const [left = '', right] = new URL(`http://[${address.split('%')[0]}]/`).hostname.slice(1, -1).split('::');
  const head = left.split(':').filter((group) => group !== '');
  const tail = (right ?? '').split(':').filter((group) => group !== '');
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** UTCTime up to 2049, GeneralizedTime behind it (RFC 5280 section 4.1.2.5). */
function time(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`;
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

function sequence(...items: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(items));
}

function tagged(number: number, item: Buffer): Buffer {
  return der(0xa0 + number, item);
}

/** Positive and minimal: no leading zero bytes but the one that keeps the sign bit clear. */
function integer(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const minimal = bytes.subarray(start);
  return der(0x02, (minimal[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.from([0]), minimal]) : minimal);
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function der(tag: number, body: Buffer): Buffer {
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = body.length.toString(16);
  const lengthBytes = Buffer.from(length.length % 2 === 0 ? length : `0${length}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 + lengthBytes.length]), lengthBytes, body]);
}

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
