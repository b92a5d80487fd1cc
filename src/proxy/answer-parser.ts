// Finds the answers in the bytes of one connection, however they are cut into pieces: head, body as length, chunks or
// up to the end of the connection, and trailers. One answer for each `start`; whatever else comes is an error.

import { AgentError } from '../errors.ts';
import { type AnswerHead, type BodyFraming, headerLines, parseAnswerHead } from './answer-head.ts';

export interface AnswerSink {
  /** Not called for interim answers. */
  onHead(head: AnswerHead): void;
  /** The bytes are only lent: they change when the call has returned. */
  onBody(bytes: Buffer): void;
  /** Flat name, value list. */
  onEnd(trailers: readonly string[]): void;
  /** In place of the three above, where head and body of a short answer came in one piece; the body in latin-1. */
  onWhole(head: AnswerHead, body: string): void;
}

/** Head of an answer, and all its trailers; a Docker answer has some 300 bytes. */
export const maxAnswerHeadBytes: number = 64 * 1024;
/** Interim answers before the real one; the engine sends none unless asked. */
export const maxInterimAnswers: number = 8;
/** Size of a chunk with its extensions, which nobody uses. */
const maxChunkLineBytes = 1024;
/** Read as text at once: the head, and short answers as a whole. */
const textBytes = 4096;

type State =
  | 'idle'
  | 'head'
  | 'length'
  | 'close'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailers'
  | 'stopped';

const noTrailers: readonly string[] = [];
const chunkLine = /^[0-9a-f]{1,13}(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n$/i;
const trailerLines = /^(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;

export class AnswerParser {
  readonly #sink: AnswerSink;
  #state: State = 'idle';
  #isHead = false;
  /** Text of an unfinished head or line. */
  #partial = '';
  /** Whole lines of trailers. */
  #trailers = '';
  /** Bytes to come of the body or chunk. */
  #left = 0;
  #interim = 0;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  /** The next bytes answer a request of this method. */
  start(method: string): void {
    this.#state = 'head';
    this.#isHead = method === 'HEAD';
    this.#partial = '';
    this.#interim = 0;
  }

  /** Ignores everything that comes. */
  stop(): void {
    this.#state = 'stopped';
  }

  /** Whether the answer has ended, and the next one may be started. */
  isIdle(): boolean {
    return this.#state === 'idle';
  }

  /** Throws `protocol-violation`, also for bytes behind the answer; then the connection is of no use any more. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) at = this.#read(bytes, at);
  }

  /** The connection has ended. True when that is how the answer ends. */
  end(): boolean {
    if (this.#state !== 'close') return false;
    this.#finish(noTrailers);
    return true;
  }

  /** Reads some bytes from `at` on, and returns where it stopped. */
  #read(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes, at);
      case 'length':
        return this.#readBody(bytes, at, this.#left);
      case 'close':
        return this.#readBody(bytes, at, Number.POSITIVE_INFINITY);
      case 'chunk-data':
        return this.#readBody(bytes, at, this.#left);
      case 'chunk-size':
        return this.#readChunkSize(bytes, at);
      case 'chunk-end':
        return this.#readChunkEnd(bytes, at);
      case 'trailers':
        return this.#readTrailers(bytes, at);
      case 'idle':
        throw violation('bytes behind its end');
      case 'stopped':
        return bytes.length;
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const to = Math.min(bytes.length, at + textBytes);
    // The end of the head may lie across two pieces, and the text before them is not looked at again.
    const seam = this.#partial.slice(-3);
    const text = seam + bytes.toString('latin1', at, to);
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) {
      this.#partial += text.slice(seam.length);
      if (this.#partial.length > maxAnswerHeadBytes) throw violation(`head over ${maxAnswerHeadBytes} bytes`);
      return to;
    }
    const before = this.#partial.slice(0, this.#partial.length - seam.length);
    this.#partial = '';
    const head = parseAnswerHead(before + text.slice(0, end));
    const bodyAt = at + end + 4 - seam.length;
    if (head.status < 200) this.#countInterim();
    else if (to === bytes.length && this.#isWhole(head, bytes.length - bodyAt)) {
      this.#state = 'idle';
      this.#sink.onWhole(head, text.slice(end + 4));
      return to;
    } else this.#beginBody(head);
    return bodyAt;
  }

  #countInterim(): void {
    this.#interim += 1;
    if (this.#interim > maxInterimAnswers) throw violation('too many interim answers');
  }

  #isWhole({ body }: AnswerHead, rest: number): boolean {
    if (this.#isHead || body.kind === 'none') return rest === 0;
    return body.kind === 'length' && body.bytes === rest;
  }

  #beginBody(head: AnswerHead): void {
    const body = this.#isHead ? noBody : head.body;
    this.#left = body.kind === 'length' ? body.bytes : 0;
    this.#state = body.kind === 'chunked' ? 'chunk-size' : body.kind === 'close' ? 'close' : 'length';
    this.#sink.onHead(head);
    if (this.#state === 'length' && this.#left === 0) this.#finish(noTrailers);
  }

  #readBody(bytes: Buffer, at: number, left: number): number {
    const end = Math.min(bytes.length, at + left);
    this.#left = left - (end - at);
    this.#sink.onBody(bytes.subarray(at, end));
    if (this.#left === 0) {
      if (this.#state === 'length') this.#finish(noTrailers);
      else if (this.#state === 'chunk-data') this.#state = 'chunk-end';
    }
    return end;
  }

  #readChunkSize(bytes: Buffer, at: number): number {
    const end = this.#readLine(bytes, at, maxChunkLineBytes);
    if (this.#partial.endsWith('\n')) {
      const line = this.#partial;
      if (!chunkLine.test(line)) throw violation('malformed chunk size');
      this.#partial = '';
      this.#left = Number.parseInt(line, 16);
      this.#trailers = '';
      this.#state = this.#left === 0 ? 'trailers' : 'chunk-data';
    }
    return end;
  }

  /** The line end behind a chunk's bytes. */
  #readChunkEnd(bytes: Buffer, at: number): number {
    const end = this.#readLine(bytes, at, 2);
    if (this.#partial === '\r\n') {
      this.#partial = '';
      this.#state = 'chunk-size';
    } else if (this.#partial !== '\r') throw violation('chunk is longer than its size');
    return end;
  }

  #readTrailers(bytes: Buffer, at: number): number {
    const end = this.#readLine(bytes, at, maxAnswerHeadBytes - this.#trailers.length);
    const line = this.#partial;
    if (!line.endsWith('\n')) return end;
    this.#partial = '';
    if (line === '\r\n') this.#finish(this.#trailers === '' ? noTrailers : parseTrailers(this.#trailers));
    else this.#trailers += line;
    return end;
  }

  /** Adds bytes up to the next line feed to the unfinished text. */
  #readLine(bytes: Buffer, at: number, maxBytes: number): number {
    const feed = bytes.indexOf(0x0a, at);
    const end = feed === -1 ? bytes.length : feed + 1;
    if (this.#partial.length + end - at > maxBytes) throw violation(`line over ${maxBytes} bytes`);
    this.#partial += bytes.toString('latin1', at, end);
    return end;
  }

  #finish(trailers: readonly string[]): void {
    this.#state = 'idle';
    this.#sink.onEnd(trailers);
  }
}

function parseTrailers(text: string): string[] {
  if (!trailerLines.test(text)) throw violation('malformed trailer');
  return headerLines(text.slice(0, -2), 0);
}

const noBody: BodyFraming = { kind: 'none' };

function violation(what: string): AgentError {
  return new AgentError('protocol-violation', `read answer: ${what}`);
}
