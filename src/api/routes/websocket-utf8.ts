// Cuts a stream of bytes into pieces that are each valid UTF-8, as websocket text frames must be: a character split
// between two reads stays whole, and bytes that are no UTF-8 are dropped, as Portainer's agent does. Keeps three bytes.

import { isUtf8 } from 'node:buffer';

export interface Utf8Stream {
  /** The bytes that can leave now; may be empty. What is returned may share memory with what was given. */
  push(bytes: Buffer): Buffer;
}

export function createUtf8Stream(): Utf8Stream {
  let held: Buffer = Buffer.alloc(0);
  return {
    push(bytes): Buffer {
      const all = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      const cut = all.length - openTailLength(all);
      held = Buffer.from(all.subarray(cut));
      const whole = all.subarray(0, cut);
      return isUtf8(whole) ? whole : onlyValid(whole);
    },
  };
}

/** How many bytes at the end begin a character that is not complete yet. */
function openTailLength(bytes: Buffer): number {
  const longest = Math.min(3, bytes.length);
  for (let length = 1; length <= longest; length += 1) {
    const at = bytes.length - length;
    const byte = bytes[at] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    return length < sequenceLength(byte) && isBegun(bytes, at) ? length : 0;
  }
  return 0;
}

/** Whether the bytes from here to the end can still become a character. */
function isBegun(bytes: Buffer, at: number): boolean {
  const second = bytes[at + 1];
  return second === undefined || isSecond(bytes[at] ?? 0, second);
}

function onlyValid(bytes: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; ) {
    const size = validAt(bytes, at);
    for (let i = 0; i < size; i += 1) kept[length++] = bytes[at + i] ?? 0;
    at += Math.max(size, 1);
  }
  return kept.subarray(0, length);
}

/** The length of the character there, or 0 where there is none. */
function validAt(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const size = sequenceLength(first);
  if (size < 2) return size;
  if (at + size > bytes.length || !isSecond(first, bytes[at + 1] ?? 0)) return 0;
  for (let i = 2; i < size; i += 1) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  return size;
}

/** What a first byte promises (RFC 3629); 0 for a byte that begins nothing. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/** The second byte is where overlong forms, surrogates and what is beyond Unicode show. */
function isSecond(first: number, second: number): boolean {
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}
