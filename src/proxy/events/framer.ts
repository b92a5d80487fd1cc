// Cuts a stream of JSON objects into its objects, whatever stands between them: line breaks, record separators
// (RFC 7464), or nothing. What is held of an object that has not ended is bounded.

import { AgentError } from '../../errors.ts';
import { braceOpen, isSpace } from '../json-scan.ts';

/** An event is some 500 bytes; labels may be of any length. A longer one is left out. */
export const maxEventBytes: number = 4 * 1024 * 1024;

export class Framer {
  #pieces: Buffer[] = [];
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #skipped = 0;

  /** Objects that were left out because of their length. */
  get skipped(): number {
    return this.#skipped;
  }

  /** The objects that this piece of the stream ends. Throws `protocol-violation` for what is no sequence of objects. */
  push(chunk: Buffer): readonly Buffer[] {
    const whole: Buffer[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] as number; // within bounds, by the loop
      if (this.#depth === 0) {
        if (byte === braceOpen) start = at;
        else if (!isSpace(byte) && byte !== recordSeparator) throw strange();
      }
      if (!this.#ends(byte)) continue;
      this.#hold(chunk.subarray(start, at + 1));
      const object = this.#take();
      if (object !== undefined) whole.push(object);
      start = at + 1;
    }
    if (this.#depth > 0) this.#hold(chunk.subarray(start));
    return whole;
  }

  /** Whether this byte ends the outermost object. Brackets are left to who reads the object. */
  #ends(byte: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#inString = false;
      return false;
    }
    if (byte === quote) this.#inString = true;
    else if (byte === braceOpen) this.#depth += 1;
    else if (byte === braceClose) {
      this.#depth -= 1;
      return this.#depth === 0;
    }
    return false;
  }

  #hold(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > maxEventBytes) this.#pieces = [];
    else this.#pieces.push(piece);
  }

  #take(): Buffer | undefined {
    const [only] = this.#pieces;
    const object = this.#pieces.length === 1 ? only : Buffer.concat(this.#pieces);
    const tooLong = this.#bytes > maxEventBytes;
    this.#pieces = [];
    this.#bytes = 0;
    if (tooLong) this.#skipped += 1;
    return tooLong ? undefined : object;
  }
}

function strange(): AgentError {
  return new AgentError('protocol-violation', 'read events: something that is no object');
}

const quote = 0x22;
const backslash = 0x5c;
const braceClose = 0x7d;
const recordSeparator = 0x1e;
