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

/** Cuts what arrives into frames. */
export function createFrameReader(): (chunk: Uint8Array) => readonly Frame[] {
  let pending = Buffer.alloc(0);
  return (chunk) => {
    pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
    const frames: Frame[] = [];
    while (pending.length >= lengthBytes) {
      const length = pending.readUInt32BE();
      if (length > maxAnswerBytes) throw new AgentError('limit-exceeded', `read frame: ${length} bytes`);
      if (pending.length < lengthBytes + length) break;
      frames.push(parseFrame(pending.subarray(lengthBytes, lengthBytes + length)));
      pending = pending.subarray(lengthBytes + length);
    }
    return frames;
  };
}

function parseFrame(bytes: Buffer): Frame {
  const value = parseJson(bytes.toString());
  if (typeof value !== 'object' || value === null || !('id' in value) || typeof value.id !== 'number') {
    throw new AgentError('protocol-violation', 'read frame: no id');
  }
  return { id: value.id, body: 'body' in value ? value.body : undefined };
}
