// A client that puts exactly the given bytes on a connection, over TLS, TCP or a unix socket, and reads what comes back.
// Nothing is added, corrected or retried, so that it can send what a proper client never would.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import {
  type BodyFraming,
  type ByteReader,
  bodyFraming,
  createByteReader,
  type Head,
  readBody,
  readHead,
  readTimeoutMs,
  within,
} from './http-wire.ts';

export type RawAddress =
  | {
      readonly kind: 'tls';
      readonly host: string;
      readonly port: number;
      readonly maxVersion?: SecureVersion;
    }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface RawAnswerHead extends Head {
  readonly status: number;
}

export interface RawAnswer extends RawAnswerHead {
  readonly body: Buffer;
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  /** Pairs or an object; `Host` is added when it is not among them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with its length. */
  readonly body?: string | Buffer;
}

export interface RawConnection extends AsyncDisposable {
  readonly socket: Socket;
  readonly reader: ByteReader;
  /** Resolves when the bytes have left this process, so a sender cannot outrun the receiver. */
  send(bytes: string | Buffer): Promise<void>;
  /** Writes a request head, and its body when there is one. */
  request(request: RawRequest): Promise<void>;
  /** The next head; fails when the connection ends instead. */
  head(timeoutMs?: number): Promise<RawAnswerHead>;
  /** The next head with its whole body, which the method of the request is needed for. */
  answer(method?: string): Promise<RawAnswer>;
  /** The pieces of the body that follows this head. */
  body(head: RawAnswerHead): AsyncGenerator<Buffer>;
  /** Everything until the other side ends. */
  rest(): Promise<Buffer>;
  /** Ends our side only. */
  halfClose(): void;
}

export async function connectRaw(address: RawAddress): Promise<RawConnection> {
  const socket = open(address);
  // A reset is seen by the reader as the end of the connection; without a listener it would end the process.
  socket.on('error', () => undefined);
  try {
    await within(once(socket, address.kind === 'tls' ? 'secureConnect' : 'connect'), readTimeoutMs);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const reader = createByteReader(socket);
  const host = address.kind === 'unix' ? 'docker' : `${address.host}:${address.port}`;

  async function send(bytes: string | Buffer): Promise<void> {
    if (socket.write(bytes) || socket.destroyed) return;
    const room = new AbortController();
    const { signal } = room;
    try {
      await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]);
    } finally {
      room.abort();
    }
  }

  async function head(timeoutMs?: number): Promise<RawAnswerHead> {
    const found = await readHead(reader, timeoutMs);
    if (found === undefined)
      throw new Error('connection ended without an answer', { cause: reader.failure() });
    const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(found.startLine)?.[1];
    if (status === undefined) throw new Error(`not a status line: ${found.startLine}`);
    return { ...found, status: Number(status) };
  }

  return {
    socket,
    reader,
    send,
    request: (request) => send(encodeRequest(request, host)),
    head,
    async answer(method = 'GET') {
      let found = await head();
      while (found.status === 100) found = await head();
      const body = await collect(readBody(reader, answerFraming(found, method)));
      return { ...found, body };
    },
    body: (found) => readBody(reader, answerFraming(found, 'GET')),
    rest: () => collect(readBody(reader, { kind: 'until-close' })),
    halfClose: () => socket.end(),
    async [Symbol.asyncDispose]() {
      if (socket.closed) return;
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
    },
  };
}

/** One request on a connection of its own. */
export async function requestRaw(address: RawAddress, request: RawRequest): Promise<RawAnswer> {
  await using connection = await connectRaw(address);
  await connection.request({ ...request, headers: { Connection: 'close', ...request.headers } });
  return await connection.answer(request.method);
}

/**
 * The bytes sent as they are, and everything that came back until the other side closed. Our side ends once something
 * came, so that a connection that is kept for a next request ends too.
 */
export async function exchangeRaw(address: RawAddress, bytes: string | Buffer): Promise<string> {
  await using connection = await connectRaw(address);
  await connection.send(bytes);
  await within(connection.reader.ready(), readTimeoutMs);
  connection.halfClose();
  return (await connection.rest()).toString('latin1');
}

export function encodeRequest(
  { method = 'GET', path, headers = {}, body }: RawRequest,
  host: string,
): Buffer {
  const lines = [`${method} ${path} HTTP/1.1`];
  if (!Object.keys(headers).some((name) => name.toLowerCase() === 'host')) lines.push(`Host: ${host}`);
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return body === undefined ? head : Buffer.concat([head, Buffer.from(body)]);
}

function open(address: RawAddress): Socket {
  switch (address.kind) {
    case 'unix':
      return connectTcp({ path: address.path, allowHalfOpen: true });
    case 'tcp':
      return connectTcp({ host: address.host, port: address.port, allowHalfOpen: true });
    case 'tls': {
      const { host, port, maxVersion } = address;
      // Portainer and the docker CLI do not verify an agent's certificate either.
      const options = { host, port, allowHalfOpen: true, rejectUnauthorized: false };
      // `allowHalfOpen` is handed on to the socket below, though the type of the options does not name it.
      return connectTls(
        maxVersion === undefined ? options : { ...options, maxVersion, minVersion: maxVersion },
      );
    }
  }
}

function answerFraming(head: RawAnswerHead, method: string): BodyFraming {
  const bodyless = method === 'HEAD' || head.status === 204 || head.status === 304 || head.status < 200;
  return bodyless ? { kind: 'none' } : bodyFraming(head, 'until-close');
}

async function collect(pieces: AsyncGenerator<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** The time itself is the subject: fails when the other side ends the connection before it has passed. */
export async function staysOpen(connection: RawConnection, durationMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<'open'>();
  const timer = setTimeout(() => resolve('open'), durationMs);
  try {
    assert.equal(await Promise.race([promise, connection.reader.ready()]), 'open');
  } finally {
    clearTimeout(timer);
  }
}
