// Streams one ordinary exchange between a Node server response and an upstream, both ways, with backpressure. Hot path.
// Headers leave before the first body byte; a client that leaves aborts the upstream; nothing is buffered.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { AgentError } from '../errors.ts';
import { answerHeaders } from './headers.ts';
import { collectWhileStreaming } from './piece-garbage.ts';
import type { ForwardOptions, ProxyRequest } from './proxy.ts';
import type { RawDispatch, RawHandler, RawUpstream } from './raw-handler.ts';

/** `onUnreachable` and `onDeclined` must answer the client, and are not called once it has left. */
export interface RelayOptions extends Omit<ForwardOptions, 'endless'> {
  /** Request headers as they go upstream. */
  readonly headers: readonly string[];
}

/** An answer that was declined is an error of some hundred bytes; a longer one ends its connection. */
const maxDeclinedBytes = 64 * 1024;

/** Dispatches the request and relays the answer. Returns at once; the exchange ends by itself. */
export function relay(
  dispatch: RawDispatch,
  request: ProxyRequest,
  req: IncomingMessage,
  res: ServerResponse,
  options: RelayOptions,
): void {
  const handler = new RelayHandler(res, options);
  const { method, path } = request;
  const body = options.body ?? (hasBody(req) ? uploadOf(req) : null);
  // Of a body that was read the length is known better here: the client may have sent it chunked.
  const headers = options.body === undefined ? options.headers : withoutLength(options.headers);
  dispatch({ method, path, headers, body }, handler);
}

function withoutLength(headers: readonly string[]): string[] {
  const isLength = (at: number): boolean => headers[at]?.toLowerCase() === 'content-length';
  return headers.filter((_, index) => !isLength(index - (index % 2)));
}

export function hasBody(req: IncomingMessage): boolean {
  const length = req.headers['content-length'];
  return req.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/**
 * The request's body as a stream of its own. undici destroys a body when the answer comes before the upload's end;
 * on `req` itself that would cut the client off before it has read the answer. What is left is read and dropped.
 */
function uploadOf(req: IncomingMessage): Readable {
  const upload = new PassThrough();
  req.pipe(upload);
  collectWhileStreaming(req);
  req.once('aborted', () => upload.destroy(new AgentError('cancelled', 'read request body: client left')));
  // An upload that failed ends the dispatch by its own error handler; here it only must not crash the process.
  upload.on('error', () => undefined);
  upload.once('close', () => {
    req.unpipe(upload);
    req.resume();
  });
  return upload;
}

const plainText = /^[\x20-\x7e]*$/;

class RelayHandler implements RawHandler {
  readonly #res: ServerResponse;
  readonly #options: RelayOptions;
  #upstream: RawUpstream | undefined;
  #flushed = false;
  /** Bytes of an answer that was declined; undefined while none was. */
  #declinedBytes: number | undefined;

  constructor(res: ServerResponse, options: RelayOptions) {
    this.#res = res;
    this.#options = options;
    res.on('close', () => {
      if (!res.writableFinished || this.#declinedBytes !== undefined) this.#leave();
    });
  }

  #leave(): void {
    this.#upstream?.abort(new AgentError('cancelled', 'relay answer: client left'));
  }

  onStart(upstream: RawUpstream): void {
    this.#upstream = upstream;
    if (this.#res.destroyed) this.#leave();
  }

  onHeaders(status: number, rawHeaders: readonly string[], statusText: string): void {
    if (this.#declines(status)) return;
    this.#writeHead(status, rawHeaders, statusText);
    this.#res.on('drain', () => this.#upstream?.resume());
    // A short answer's body arrives in this same tick and shares one write with the headers; when it does not,
    // the headers must leave alone: `wait` and `logs` send a body only much later (engine-api.md 1.11).
    process.nextTick(flushHeaders, this);
  }

  /** Head and body leave as one string, in one record. */
  onWhole(status: number, rawHeaders: readonly string[], statusText: string, body: string): void {
    this.#upstream = undefined;
    if (this.#res.destroyed || this.#declines(status)) return;
    this.#flushed = true;
    this.#writeHead(status, rawHeaders, statusText);
    this.#res.end(body, 'latin1');
  }

  #declines(status: number): boolean {
    const { decline } = this.#options;
    if (decline?.status !== status) return false;
    this.#declinedBytes = 0;
    if (!this.#res.destroyed) decline.onDeclined();
    return true;
  }

  #writeHead(status: number, rawHeaders: readonly string[], statusText: string): void {
    // Node throws on a reason phrase that is not plain text, and the client would wait for ever; nothing reads it.
    const reason = plainText.test(statusText) ? statusText : '';
    this.#res.writeHead(status, reason, answerHeaders(rawHeaders, this.#options.answerHeaders));
  }

  onData(chunk: Buffer): boolean {
    if (this.#declinedBytes !== undefined) return this.#drop(this.#declinedBytes + chunk.length);
    this.#flushed = true;
    return this.#res.write(chunk);
  }

  /** Read to its end, so that the connection serves again. */
  #drop(bytes: number): boolean {
    this.#declinedBytes = bytes;
    if (bytes > maxDeclinedBytes)
      this.#upstream?.abort(new AgentError('limit-exceeded', 'drop answer: too long'));
    return true;
  }

  onComplete(rawTrailers: readonly string[]): void {
    this.#upstream = undefined;
    if (this.#declinedBytes !== undefined) return;
    this.#flushed = true;
    if (rawTrailers.length > 0) addTrailers(this.#res, rawTrailers);
    this.#res.end();
  }

  /** Sends the headers if nothing has carried them yet. */
  flush(): void {
    if (this.#flushed || this.#res.destroyed) return;
    this.#flushed = true;
    this.#res.flushHeaders();
  }

  onError(error: Error): void {
    const res = this.#res;
    this.#upstream = undefined;
    if (res.destroyed || this.#declinedBytes !== undefined) return;
    // Half an answer must not look like a whole one.
    if (res.headersSent) res.destroy(error);
    else this.#options.onUnreachable(error);
  }
}

function flushHeaders(handler: RelayHandler): void {
  handler.flush();
}

function addTrailers(res: ServerResponse, raw: readonly string[]): void {
  const trailers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    trailers.push([raw[i] ?? '', raw[i + 1] ?? '']);
  }
  res.addTrailers(trailers);
}
