// HTTP/1.1 read from raw bytes, for both ends of a test: heads are kept as they came and nothing is tidied up.
// It shares no code with Node's parser, so that a test sees the wire and not an interpretation of it.

import type { Duplex } from 'node:stream';
import { scaled } from './scale.ts';

/** How long one read may wait before the test fails. Shorter than the test's own timeout, so that it cleans up. */
export const readTimeoutMs: number = scaled(15_000, 25_000);
const maxHeadBytes = 1_048_576;
const headEnd = Buffer.from('\r\n\r\n');
const lineEnd = Buffer.from('\r\n');

export interface Head {
  readonly startLine: string;
  /** Flat name, value list, in the order and the case of the wire. */
  readonly rawHeaders: readonly string[];
  /** By lower-case name; repeated ones joined by a comma. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Reads a socket piece by piece. The connection's reset counts as its end; `failure` says that it was one. */
export interface ByteReader {
  /** The next bytes, whatever their number; undefined at the end. */
  some(timeoutMs?: number): Promise<Buffer | undefined>;
  /** Exactly so many bytes; fails when the connection ends before. */
  exactly(count: number): Promise<Buffer>;
  /** At least one byte and no more than so many; fails at the end of the connection. */
  atMost(count: number): Promise<Buffer>;
  /** All bytes before the delimiter, which is dropped; undefined when the connection ends cleanly before any byte. */
  until(delimiter: Buffer, timeoutMs?: number): Promise<Buffer | undefined>;
  /** Resolves when there is something to read, with true, or when the connection has ended, with false. */
  ready(): Promise<boolean>;
  failure(): Error | undefined;
}

export function createByteReader(socket: Duplex): ByteReader {
  const pieces = socket.iterator({ destroyOnReturn: false });
  let buffered: Buffer = Buffer.alloc(0);
  let failed: Error | undefined;
  let pending: Promise<boolean> | undefined;

  async function pull(): Promise<boolean> {
    try {
      const next = await pieces.next();
      if (next.done === true) return false;
      buffered = buffered.length === 0 ? next.value : Buffer.concat([buffered, next.value]);
      return true;
    } catch (error) {
      failed = error instanceof Error ? error : new Error(String(error));
      return false;
    }
  }

  /** One pull at a time, shared by `ready` and the reads: a second one would lose the order of the bytes. */
  function more(): Promise<boolean> {
    pending ??= pull().finally(() => {
      pending = undefined;
    });
    return pending;
  }

  function take(count: number): Buffer {
    const taken = buffered.subarray(0, count);
    buffered = buffered.subarray(count);
    return taken;
  }

  return {
    async some(timeoutMs = readTimeoutMs) {
      if (buffered.length === 0 && !(await within(more(), timeoutMs))) return undefined;
      return take(buffered.length);
    },
    async exactly(count) {
      while (buffered.length < count) {
        if (!(await within(more(), readTimeoutMs))) {
          throw new Error(`connection ended after ${buffered.length} of ${count} bytes`, { cause: failed });
        }
      }
      return take(count);
    },
    async atMost(count) {
      if (buffered.length === 0 && !(await within(more(), readTimeoutMs))) {
        throw new Error(`connection ended with ${count} bytes of the body missing`, { cause: failed });
      }
      return take(Math.min(count, buffered.length));
    },
    async until(delimiter, timeoutMs = readTimeoutMs) {
      for (;;) {
        const at = buffered.indexOf(delimiter);
        if (at >= 0) {
          const found = take(at);
          take(delimiter.length);
          return found;
        }
        if (buffered.length > maxHeadBytes) throw new Error('no end of the head within 1 MiB');
        if (await within(more(), timeoutMs)) continue;
        if (buffered.length === 0) return undefined;
        throw new Error(`connection ended in the middle of: ${buffered.toString('latin1').slice(0, 200)}`);
      }
    },
    async ready() {
      return buffered.length > 0 || more();
    },
    failure: () => failed,
  };
}

/** The next head; undefined when the connection ended before its first byte. */
export async function readHead(reader: ByteReader, timeoutMs?: number): Promise<Head | undefined> {
  const bytes = await reader.until(headEnd, timeoutMs);
  if (bytes === undefined) return undefined;
  const [startLine = '', ...lines] = bytes.toString('latin1').split('\r\n');
  const rawHeaders: string[] = [];
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    rawHeaders.push(name, value);
    const before = headers.get(name.toLowerCase());
    headers.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  return { startLine, rawHeaders, headers };
}

export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until-close' };

/** How the body that follows a head is delimited; `otherwise` is what the absence of both headers means. */
export function bodyFraming(head: Head, otherwise: 'none' | 'until-close'): BodyFraming {
  if (head.headers.get('transfer-encoding')?.toLowerCase() === 'chunked') return { kind: 'chunked' };
  const length = head.headers.get('content-length');
  return length === undefined ? { kind: otherwise } : { kind: 'length', bytes: Number(length) };
}

/** The pieces of a body as they arrive. Fails when the connection ends before the framing says so. */
export async function* readBody(reader: ByteReader, framing: BodyFraming): AsyncGenerator<Buffer> {
  switch (framing.kind) {
    case 'none':
      return;
    case 'length':
      yield* readCounted(reader, framing.bytes);
      return;
    case 'chunked':
      yield* readChunked(reader);
      return;
    case 'until-close':
      for (let piece = await reader.some(); piece !== undefined; piece = await reader.some()) yield piece;
  }
}

async function* readChunked(reader: ByteReader): AsyncGenerator<Buffer> {
  for (;;) {
    const line = await reader.until(lineEnd);
    if (line === undefined) throw new Error('connection ended inside a chunked body');
    const bytes = Number.parseInt(line.toString('latin1'), 16);
    if (!Number.isInteger(bytes)) throw new Error(`chunk size expected, got: ${line.toString('latin1')}`);
    yield* readCounted(reader, bytes);
    await reader.until(lineEnd);
    if (bytes === 0) return;
  }
}

async function* readCounted(reader: ByteReader, count: number): AsyncGenerator<Buffer> {
  for (let left = count; left > 0; ) {
    const piece = await reader.atMost(left);
    left -= piece.length;
    yield piece;
  }
}

/** The promise's value, or a failure when it takes longer. */
export async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nothing arrived within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
