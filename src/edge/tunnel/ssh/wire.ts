// SSH's data types (RFC 4251 §5): big-endian numbers, strings with a length, positive multiple-precision integers.
// The reader's bytes come from a stranger: a message that ends early is a clear error, never a read past its end.

import { AgentError } from '../../../errors.ts';

export interface WireReader {
  u8(): number;
  u32(): number;
  /** A view of the message, not a copy. */
  string(): Buffer;
  text(): string;
  names(): readonly string[];
  skip(bytes: number): void;
  /** All that is left. */
  rest(): Buffer;
}

export function createWireReader(message: Buffer): WireReader {
  let at = 0;
  const take = (bytes: number): Buffer => {
    if (bytes > message.length - at)
      throw new AgentError('protocol-violation', 'read ssh message: it ends early');
    at += bytes;
    return message.subarray(at - bytes, at);
  };
  const u32 = (): number => take(4).readUInt32BE();
  const string = (): Buffer => take(u32());
  return {
    u8: () => take(1).readUInt8(),
    u32,
    string,
    text: () => string().toString('utf8'),
    names: () => string().toString('latin1').split(','),
    skip: (bytes) => void take(bytes),
    rest: () => take(message.length - at),
  };
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function string(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  return Buffer.concat([u32(bytes.length), bytes]);
}

/** Of an unsigned big-endian number: shortest form, with a zero in front where it would look negative. */
export function mpint(value: Buffer): Buffer {
  let start = 0;
  while (start < value.length && value[start] === 0) start += 1;
  const digits = value.subarray(start);
  const isHigh = (digits[0] ?? 0) >= 0x80;
  return string(isHigh ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}

/** A message: its number, then parts that are encoded already. */
export function message(number: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([number]), ...parts]);
}

/** Texts of a server end in logs and in states: one short line without control characters. */
export function shownText(text: Buffer): string {
  const maxShown = 200;
  return text
    .subarray(0, maxShown)
    .toString('utf8')
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim();
}
