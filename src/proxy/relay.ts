// Streams one ordinary exchange between a Node server response and an undici dispatcher, both ways, with backpressure.
// Hot path. Headers leave before the first body byte; a client that leaves aborts the upstream; nothing is buffered.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { AgentError } from '../errors.ts';
import { answerHeaders } from './headers.ts';
import { collectWhileStreaming } from './piece-garbage.ts';
import type { ProxyRequest } from './proxy.ts';
import { type RawHandler, toDispatchHandler } from './raw-handler.ts';

export interface RelayOptions {
  /** Request headers as they go upstream. */
  readonly headers: readonly string[];
  /** Flat list added to the answer. */
  readonly answerHeaders: readonly string[];
  /** Called instead of an answer when nothing of one has arrived; must answer the client. Not called if it left. */
  readonly onUnreachable: (error: unknown) => void;
}

/** Dispatches the request and relays the answer. Returns at once; the exchange ends by itself. */
export function relay(
  dispatcher: Dispatcher,
  request: ProxyRequest,
  req: IncomingMessage,
  res: ServerResponse,
  options: RelayOptions,
): void {
  const handler = new RelayHandler(res, options);
  const body = hasBody(req) ? uploadOf(req) : null;
  try {
    dispatcher.dispatch(
      { method: request.method, path: request.path, headers: [...options.headers], body },
      toDispatchHandler(handler),
    );
  } catch (error) {
    handler.onError(error instanceof Error ? error : new Error(String(error)));
  }
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
  #abort: ((reason: Error) => void) | undefined;
  #flushed = false;

  constructor(res: ServerResponse, options: RelayOptions) {
    this.#res = res;
    this.#options = options;
    res.once('close', () => {
      if (!res.writableFinished) this.#abort?.(new AgentError('cancelled', 'relay answer: client left'));
    });
  }

  onConnect(abort: (reason: Error) => void): void {
    this.#abort = abort;
    if (this.#res.destroyed) abort(new AgentError('cancelled', 'relay answer: client left'));
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void, statusText: string): boolean {
    if (status < 200) return true;
    const res = this.#res;
    res.on('drain', resume);
    // Node throws on a reason phrase that is not plain text, and the client would wait for ever; nothing reads it.
    const reason = plainText.test(statusText) ? statusText : '';
    res.writeHead(status, reason, answerHeaders(rawHeaders, this.#options.answerHeaders));
    // A short answer's body arrives in this same tick and shares one write with the headers; when it does not,
    // the headers must leave alone: `wait` and `logs` send a body only much later (engine-api.md 1.11).
    process.nextTick(flushHeaders, this);
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#flushed = true;
    return this.#res.write(chunk);
  }

  onComplete(rawTrailers: Buffer[] | null): void {
    this.#flushed = true;
    if (rawTrailers !== null && rawTrailers.length > 0) addTrailers(this.#res, rawTrailers);
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
    if (res.destroyed) return;
    // Half an answer must not look like a whole one.
    if (res.headersSent) res.destroy(error);
    else this.#options.onUnreachable(error);
  }
}

function flushHeaders(handler: RelayHandler): void {
  handler.flush();
}

function addTrailers(res: ServerResponse, raw: readonly Buffer[]): void {
  const trailers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    trailers.push([raw[i]?.toString('latin1') ?? '', raw[i + 1]?.toString('latin1') ?? '']);
  }
  res.addTrailers(trailers);
}
