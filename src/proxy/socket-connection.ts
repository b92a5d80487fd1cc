// One connection to a unix socket that carries one bodyless HTTP/1.1 exchange after the other. It is offered again only
// when an answer has ended exactly where its framing says, and nothing came behind it.

import net from 'node:net';
import { AgentError } from '../errors.ts';
import type { AnswerHead } from './answer-head.ts';
import { AnswerParser, type AnswerSink } from './answer-parser.ts';
import type { RawHandler, RawUpstream } from './raw-handler.ts';

export interface SocketRequest {
  readonly method: string;
  /** The whole request in latin-1. */
  readonly text: string;
  readonly handler: RawHandler;
}

export interface ConnectionOwner {
  /** The connection may carry another exchange. */
  onIdle(connection: SocketConnection): void;
  onClosed(connection: SocketConnection): void;
  /** Nothing was answered, on a connection that had been idle: it was closed in the moment in which it was taken. */
  onStale(request: SocketRequest): void;
}

/** The system gives these pages as they are used, so that connections with short answers stay small. */
const readBufferBytes = 64 * 1024;

export class SocketConnection implements AnswerSink {
  readonly #owner: ConnectionOwner;
  readonly #socket: net.Socket;
  readonly #parser: AnswerParser = new AnswerParser(this);
  #request: SocketRequest | undefined;
  #head: AnswerHead | undefined;
  /** Whether an earlier exchange has ended here; only then can the connection be stale. */
  #used = false;
  #gotBytes = false;
  #accepts = true;
  #closed = false;

  constructor(owner: ConnectionOwner, socketPath: string) {
    this.#owner = owner;
    const buffer = Buffer.allocUnsafeSlow(readBufferBytes);
    // Node reads into this one buffer and emits no data: a stream's machinery costs more than the parsing.
    const onread = { buffer, callback: (bytes: number) => this.#onRead(buffer.subarray(0, bytes)) };
    this.#socket = net.connect({ path: socketPath, onread });
    this.#socket.on('error', (error) => this.#lost(error));
    this.#socket.on('end', () => this.#onEof());
    this.#socket.on('close', () => this.#onEof());
  }

  send(request: SocketRequest): void {
    this.#request = request;
    this.#gotBytes = false;
    this.#parser.start(request.method);
    request.handler.onStart(new Upstream(this, request));
    // The handler may have given up at once.
    if (this.#request === request) this.#socket.write(request.text, 'latin1');
  }

  /** Ends what it carries, if anything, with this reason. */
  destroy(reason: Error): void {
    this.#close(reason);
  }

  abort(request: SocketRequest, reason: Error): void {
    if (this.#request === request) this.#close(reason);
  }

  resume(request: SocketRequest): void {
    if (this.#request !== request || this.#accepts) return;
    this.#accepts = true;
    this.#socket.resume();
  }

  onHead(head: AnswerHead): void {
    this.#head = head;
    this.#request?.handler.onHeaders(head.status, head.rawHeaders, head.statusText);
  }

  onBody(bytes: Buffer): void {
    // A copy: the buffer is read into again before the client has taken this.
    if (this.#request?.handler.onData(Buffer.from(bytes)) === false) this.#accepts = false;
  }

  onEnd(trailers: readonly string[]): void {
    this.#finish()?.handler.onComplete(trailers);
  }

  onWhole(head: AnswerHead, body: string): void {
    this.#head = head;
    this.#finish()?.handler.onWhole(head.status, head.rawHeaders, head.statusText, body);
  }

  #finish(): SocketRequest | undefined {
    const request = this.#request;
    this.#request = undefined;
    this.#accepts = true;
    return request;
  }

  #onRead(bytes: Buffer): boolean {
    this.#gotBytes = true;
    try {
      this.#parser.push(bytes);
    } catch (error) {
      this.#close(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
    // Only now: bytes behind the answer would have been an error, and must not answer the next request.
    if (this.#parser.isIdle()) this.#release();
    return this.#accepts;
  }

  #release(): void {
    if (this.#head?.keepAlive !== true) this.#close(ended());
    if (this.#closed) return;
    this.#used = true;
    this.#owner.onIdle(this);
  }

  #onEof(): void {
    if (this.#closed) return;
    this.#parser.end();
    this.#lost(ended());
  }

  /** The other side has gone. */
  #lost(reason: Error): void {
    const request = this.#request;
    const isStale = this.#used && !this.#gotBytes && request !== undefined && isRepeatable(request);
    if (isStale) this.#request = undefined;
    this.#close(reason);
    if (isStale) this.#owner.onStale(request);
  }

  #close(reason: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parser.stop();
    this.#socket.destroy();
    this.#owner.onClosed(this);
    this.#finish()?.handler.onError(reason);
  }
}

/** The handle of one exchange: it reaches the connection only while the connection carries that one. */
class Upstream implements RawUpstream {
  readonly #connection: SocketConnection;
  readonly #request: SocketRequest;

  constructor(connection: SocketConnection, request: SocketRequest) {
    this.#connection = connection;
    this.#request = request;
  }

  abort(reason: Error): void {
    this.#connection.abort(this.#request, reason);
  }

  resume(): void {
    this.#connection.resume(this.#request);
  }
}

function isRepeatable({ method }: SocketRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}

function ended(): AgentError {
  return new AgentError('engine-unreachable', 'read answer: the connection was closed before its end');
}
