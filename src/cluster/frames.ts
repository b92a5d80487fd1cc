// Frames on the stream between two members: a length, then JSON with the number of the question it belongs to.
// Pure. A frame that is too long or no frame ends the stream by throwing; nothing is buffered beyond one frame.

import { AgentError } from '../errors.ts';
import { maxAnswerBytes, parseJson } from './messages.ts';

/** `u32 length (big endian)`, then so many bytes of `{"id": number, "body": …}`. */
export interface Frame {
  readonly id: number;
  readonly body: unknown;
}

const lengthBytes = 4;

export function encodeFrame(frame: Frame): Uint8Array {
  const json = Buffer.from(JSON.stringify(frame));
  const bytes = Buffer.allocUnsafe(lengthBytes + json.length);
  bytes.writeUInt32BE(json.length);
  json.copy(bytes, lengthBytes);
  return bytes;
}

/** Cuts what arrives into frames. What it is given is copied, each byte a few times at most, however it is split. */
export function createFrameReader(): (chunk: Uint8Array) => readonly Frame[] {
  /** The beginning of a frame is in its first `used` bytes. */
  let pending = Buffer.alloc(0);
  let used = 0;
  return (chunk) => {
    pending = makeRoom(pending, used, chunk.length);
    pending.set(chunk, used);
    used += chunk.length;
    const frames: Frame[] = [];
    let start = 0;
    while (used - start >= lengthBytes) {
      const length = pending.readUInt32BE(start);
      if (length > maxAnswerBytes) throw new AgentError('limit-exceeded', `read frame: ${length} bytes`);
      const end = start + lengthBytes + length;
      if (used < end) break;
      frames.push(parseFrame(pending.subarray(start + lengthBytes, end)));
      start = end;
    }
    if (start > 0) {
      // A part of the last chunk. It gets memory of its own, so that what was read is given back.
      pending = Buffer.from(pending.subarray(start, used));
      used -= start;
    }
    return frames;
  };
}

/** Grows by doubling up to a whole frame: memory follows what has arrived and not the length that a peer announces. */
function makeRoom(bytes: Buffer<ArrayBuffer>, used: number, added: number): Buffer<ArrayBuffer> {
  const needed = used + added;
  if (needed <= bytes.length) return bytes;
  const doubled = Math.min(2 * bytes.length, lengthBytes + maxAnswerBytes);
  const larger = Buffer.allocUnsafe(Math.max(needed, doubled));
  larger.set(bytes.subarray(0, used));
  return larger;
}

function parseFrame(bytes: Buffer): Frame {
  const value = parseJson(bytes.toString());
  if (typeof value !== 'object' || value === null || !('id' in value) || typeof value.id !== 'number') {
    throw new AgentError('protocol-violation', 'read frame: no id');
  }
  return { id: value.id, body: 'body' in value ? value.body : undefined };
}
