// SSH's binary packets (RFC 4253 §6): in clear until keys are in use, then aes128-gcm@openssh.com (RFC 5647).
// Knows no message: a payload goes in or comes out.

import { createCipheriv, createDecipheriv } from 'node:crypto';
import { AgentError } from '../../../errors.ts';

/** Of one direction. */
export interface PacketKey {
  /** 16 bytes. */
  readonly key: Buffer;
  /** 12 bytes; the last eight count packets. */
  readonly nonce: Buffer;
}

export interface PacketSealer {
  /** A packet, in pieces that follow each other. Its payload is `head`, and `data` behind it. */
  seal(head: Buffer, data?: Buffer): readonly Buffer[];
  use(key: PacketKey): void;
}

export interface PacketOpener {
  push(bytes: Buffer): void;
  /** The line before all packets, without its end; undefined until it is whole. */
  line(): string | undefined;
  /** The next payload; undefined until it is whole. Throws when the peer's bytes are no packet. */
  next(): Buffer | undefined;
  use(key: PacketKey): void;
}

/** A payload of 32 KiB and what goes around it; RFC 4253 §6.1 asks for no more. */
const maxPacketBytes = 35_000;
/** RFC 4253 §4.2. */
const maxLineBytes = 255;
const lengthBytes = 4;
const tagBytes = 16;
const leastPadding = 4;
const clearBlockBytes = 8;
const gcmBlockBytes = 16;
const noBytes = Buffer.alloc(0);

export function createPacketSealer(random: (bytes: number) => Buffer): PacketSealer {
  let cipher: PacketKey | undefined;
  // What is to be encrypted is put together here, and free again once it is, in memory of the cipher's own. New memory for
  // each packet would cost as much as encrypting it.
  let room = Buffer.alloc(0);
  const roomFor = (bytes: number): Buffer => {
    // In clear the packet itself is what waits to be sent.
    if (cipher === undefined) return Buffer.allocUnsafe(bytes);
    if (room.length < bytes) room = Buffer.allocUnsafe(Math.max(bytes, maxPacketBytes));
    return room.subarray(0, bytes);
  };
  return {
    seal(head, data = noBytes): readonly Buffer[] {
      const payloadBytes = head.length + data.length;
      // In clear the length field is part of the blocks; with GCM it is not, since it stays readable.
      const block = cipher === undefined ? clearBlockBytes : gcmBlockBytes;
      const counted = (cipher === undefined ? lengthBytes : 0) + 1 + payloadBytes;
      const padding = leastPadding + ((block - ((counted + leastPadding) % block)) % block);
      const body = roomFor(1 + payloadBytes + padding);
      body.writeUInt8(padding);
      head.copy(body, 1);
      data.copy(body, 1 + head.length);
      random(padding).copy(body, 1 + payloadBytes);
      const length = Buffer.allocUnsafe(lengthBytes);
      length.writeUInt32BE(body.length);
      if (cipher === undefined) return [length, body];
      const gcm = createCipheriv('aes-128-gcm', cipher.key, cipher.nonce);
      gcm.setAAD(length);
      const sealed = gcm.update(body);
      gcm.final();
      countUp(cipher.nonce);
      return [length, sealed, gcm.getAuthTag()];
    },
    use(key): void {
      cipher = copyOf(key);
    },
  };
}

export function createPacketOpener(): PacketOpener {
  let cipher: PacketKey | undefined;
  let pending: Buffer = Buffer.alloc(0);
  return {
    push(bytes): void {
      // What is pending is less than one packet, so this copies little.
      pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    },
    line(): string | undefined {
      const end = pending.indexOf('\n');
      if (end > maxLineBytes || (end === -1 && pending.length > maxLineBytes))
        throw violation('its identification is too long');
      if (end === -1) return undefined;
      const line = pending.subarray(0, end).toString('latin1').replace(/\r$/, '');
      pending = pending.subarray(end + 1);
      return line;
    },
    next(): Buffer | undefined {
      if (pending.length < lengthBytes) return undefined;
      const length = pending.readUInt32BE();
      assertLength(length, cipher === undefined);
      const bytes = lengthBytes + length + (cipher === undefined ? 0 : tagBytes);
      if (pending.length < bytes) return undefined;
      const packet = pending.subarray(0, bytes);
      pending = pending.subarray(bytes);
      return withoutPadding(cipher === undefined ? packet.subarray(lengthBytes) : open(packet, cipher));
    },
    use(key): void {
      cipher = copyOf(key);
    },
  };
}

function assertLength(length: number, isClear: boolean): void {
  const blocks = isClear ? (length + lengthBytes) % clearBlockBytes : length % gcmBlockBytes;
  if (length > maxPacketBytes || length < 1 + leastPadding || blocks !== 0)
    throw violation(`a packet of ${length} bytes`);
}

function open(packet: Buffer, { key, nonce }: PacketKey): Buffer {
  const end = packet.length - tagBytes;
  const gcm = createDecipheriv('aes-128-gcm', key, nonce, { authTagLength: tagBytes });
  gcm.setAAD(packet.subarray(0, lengthBytes));
  gcm.setAuthTag(packet.subarray(end));
  const plain = gcm.update(packet.subarray(lengthBytes, end));
  try {
    gcm.final();
  } catch (error) {
    throw new AgentError('protocol-violation', 'read ssh packet: it was changed on the way', {
      cause: error,
    });
  }
  countUp(nonce);
  return plain;
}

function withoutPadding(body: Buffer): Buffer {
  const padding = body[0] ?? 0;
  const end = body.length - padding;
  // A payload has its number at least.
  if (padding < leastPadding || end < 2) throw violation(`${padding} bytes of padding`);
  return body.subarray(1, end);
}

/** The last eight bytes, as one number. */
function countUp(nonce: Buffer): void {
  nonce.writeBigUInt64BE(BigInt.asUintN(64, nonce.readBigUInt64BE(4) + 1n), 4);
}

function copyOf({ key, nonce }: PacketKey): PacketKey {
  return { key: Buffer.from(key), nonce: Buffer.from(nonce) };
}

function violation(found: string): AgentError {
  return new AgentError('protocol-violation', `read ssh packet: ${found}`);
}
