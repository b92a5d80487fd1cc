// One request at the fake engine and the ways to answer it: whole, streamed, or taken over as a raw connection.
// What arrived is recorded as it was on the wire, for the assertions of a test.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type ByteReader, bodyFraming, type Head, readBody } from '../http-wire.ts';
import type { FakeEngineFacts } from './model.ts';

/** How much of a body is kept beside its length and its hash. */
const maxKeptBodyBytes = 65_536;

/** What the engine saw of one request. It changes until `outcome` is no longer `open`. */
export interface Received {
  readonly method: string;
  /** The request target, byte for byte. */
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly headers: ReadonlyMap<string, string>;
  bodyBytes: number;
  /** Hex, once the body has ended. */
  bodySha256: string | undefined;
  /** The beginning of the body. */
  body: Buffer;
  /** Bytes that came on the connection after it was hijacked. */
  hijackedBytes: number;
  /** The client ended its side of a hijacked connection. */
  halfClosed: boolean;
  outcome: 'open' | 'answered' | 'client-left' | 'body-cut';
}

export type Headers = Readonly<Record<string, string>>;

export interface ChunkWriter {
  /** Resolves when the bytes have left; rejects when the client has left. */
  write(bytes: string | Buffer): Promise<void>;
  end(): Promise<void>;
}

export interface Exchange {
  readonly method: string;
  /** Without the version prefix, not decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly head: Head;
  readonly received: Received;
  readonly socket: Socket;
  readonly reader: ByteReader;
  readonly facts: FakeEngineFacts;
  /** Aborted when the client goes away before the answer has ended. */
  readonly left: AbortSignal;
  /** The pieces of the body. A body that is not read is drained after the answer. */
  body(): AsyncGenerator<Buffer>;
  text(): Promise<string>;
  answer(status: number, body?: unknown, headers?: Headers): Promise<void>;
  /** An error from before the engine's routes, which carries only some of its headers. */
  refuse(status: number, message: string, engineHeaderNames: readonly string[]): Promise<void>;
  /** An answer of known length, sent piece by piece. */
  answerBytes(length: number, pieces: Iterable<Buffer>, headers?: Headers): Promise<void>;
  stream(headers?: Headers): Promise<ChunkWriter>;
  /** The raw connection from here on; nothing is written before. */
  hijack(): { readonly reader: ByteReader; readonly socket: Socket };
}

export interface ExchangeState {
  hijacked: boolean;
  bodyDone: boolean;
}

export function createReceived(head: Head): Received {
  const [method = '', target = ''] = head.startLine.split(' ');
  return {
    method,
    target,
    rawHeaders: head.rawHeaders,
    headers: head.headers,
    bodyBytes: 0,
    bodySha256: undefined,
    body: Buffer.alloc(0),
    hijackedBytes: 0,
    halfClosed: false,
    outcome: 'open',
  };
}

export function createExchange(
  head: Head,
  socket: Socket,
  reader: ByteReader,
  facts: FakeEngineFacts,
  received: Received,
): { readonly exchange: Exchange; readonly state: ExchangeState; readonly release: () => void } {
  const state: ExchangeState = { hijacked: false, bodyDone: false };
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  socket.once('close', leave);
  const { method, target } = received;
  const [rawPath = '', ...query] = target.split('?');

  async function* body(): AsyncGenerator<Buffer> {
    if (state.bodyDone) return;
    state.bodyDone = true;
    const hash = createHash('sha256');
    if (head.headers.get('expect')?.toLowerCase() === '100-continue') {
      await send(socket, 'HTTP/1.1 100 Continue\r\n\r\n');
    }
    try {
      for await (const piece of readBody(reader, bodyFraming(head, 'none'))) {
        hash.update(piece);
        received.bodyBytes += piece.length;
        if (received.body.length < maxKeptBodyBytes) received.body = Buffer.concat([received.body, piece]);
        yield piece;
      }
    } catch (error) {
      received.outcome = 'body-cut';
      throw error;
    }
    received.bodySha256 = hash.digest('hex');
  }

  async function start(
    status: number,
    headers: Headers,
    common: Headers = engineHeaders(facts),
  ): Promise<void> {
    const closing = head.headers.get('connection')?.toLowerCase() === 'close' ? { Connection: 'close' } : {};
    const all = { ...common, ...headers, ...closing };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    await send(socket, `HTTP/1.1 ${status} ${reasons[status] ?? 'Status'}\r\n${lines.join('')}\r\n`);
  }

  async function answer(status: number, content?: unknown, headers: Headers = {}): Promise<void> {
    const { bytes, type } = encodeContent(content);
    const length = status === 204 || status === 304 ? {} : { 'Content-Length': String(bytes.length) };
    await start(status, { ...type, ...length, ...headers });
    if (method !== 'HEAD') await send(socket, bytes);
  }

  /** A client that only listens shows that it left by ending its side. */
  function watchClient(): void {
    void reader.ready().then((more) => {
      if (!more && received.outcome === 'open') leaving.abort();
    });
  }

  const exchange: Exchange = {
    method,
    path: rawPath.replace(/^\/v[0-9.]+(?=\/|$)/, ''),
    query: new URLSearchParams(query.join('?')),
    head,
    received,
    socket,
    reader,
    facts,
    left: leaving.signal,
    body,
    async text() {
      for await (const _ of body());
      return received.body.toString();
    },
    answer,
    async refuse(status, message, engineHeaderNames) {
      const common = Object.entries(engineHeaders(facts)).filter(([name]) =>
        engineHeaderNames.includes(name),
      );
      const { bytes, type } = encodeContent({ message });
      await start(status, { ...type, 'Content-Length': String(bytes.length) }, Object.fromEntries(common));
      await send(socket, bytes);
    },
    async answerBytes(length, pieces, headers = {}) {
      await start(200, { 'Content-Length': String(length), ...headers });
      for (const piece of pieces) await send(socket, piece);
    },
    async stream(headers = {}) {
      await start(200, { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked', ...headers });
      watchClient();
      return {
        write: (bytes) => send(socket, encodeChunk(bytes)),
        end: () => send(socket, '0\r\n\r\n'),
      };
    },
    hijack() {
      state.hijacked = true;
      return { reader, socket };
    },
  };
  return { exchange, state, release: () => socket.off('close', leave) };
}

/** Writes and waits for room; rejects when the connection is gone, so that an endless answer ends. */
export async function send(socket: Socket, bytes: string | Buffer): Promise<void> {
  if (socket.destroyed) throw new Error('client has left');
  if (bytes.length === 0 || socket.write(bytes)) return;
  const given = new AbortController();
  const { signal } = given;
  try {
    await Promise.race([
      once(socket, 'drain', { signal }),
      once(socket, 'close', { signal }).then(() => Promise.reject(new Error('client has left'))),
    ]);
  } finally {
    given.abort();
  }
}

/** On every answer of an engine, also on errors. */
export function engineHeaders(facts: FakeEngineFacts): Headers {
  return {
    'Api-Version': facts.apiVersion,
    'Docker-Experimental': 'false',
    Ostype: 'linux',
    Server: `Docker/${facts.version} (linux)`,
    Date: new Date().toUTCString(),
  };
}

function encodeContent(content: unknown): { readonly bytes: Buffer; readonly type: Headers } {
  if (content === undefined) return { bytes: Buffer.alloc(0), type: {} };
  if (Buffer.isBuffer(content)) return { bytes: content, type: {} };
  if (typeof content === 'string') {
    return { bytes: Buffer.from(content), type: { 'Content-Type': 'text/plain; charset=utf-8' } };
  }
  return {
    bytes: Buffer.from(`${JSON.stringify(content)}\n`),
    type: { 'Content-Type': 'application/json' },
  };
}

function encodeChunk(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

const reasons: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  204: 'No Content',
  304: 'Not Modified',
  400: 'Bad Request',
  404: 'Not Found',
  409: 'Conflict',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};
