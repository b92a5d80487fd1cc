// Splices a hijacking request: after the head, every byte passes as it is, in both directions, and so does each side's
// half-close (stdin's end). Until the upstream has said that it hijacks, it gets the request and its body and nothing
// else, and an answer that is no hijack closes: what a client sends early must be stdin, and never a second request that
// nobody has checked (attack A-11).

import { type Duplex, finished } from 'node:stream';
import { AgentError } from '../errors.ts';
import { type RequestHeaderRules, requestHeaders } from './headers.ts';
import type { ProxyRequest } from './proxy.ts';
import { bodyEndOf, parseResponseHead, type ResponseHead, writeResponseHead } from './response-head.ts';

export interface SpliceOptions {
  /** Opens a connection of its own to the upstream; must allow half-open. */
  readonly dial: () => Promise<Duplex>;
  readonly rules: RequestHeaderRules;
  readonly answerHeaders: readonly string[];
  /** Called when nothing of an answer has arrived; must answer the client and end it. */
  readonly onUnreachable: (error: unknown) => void;
}

/** Runs until both sides have ended. Never throws. */
export async function splice(
  request: ProxyRequest,
  client: Duplex,
  head: Buffer,
  options: SpliceOptions,
): Promise<void> {
  // Before anything is awaited: a reset during the dial must not be an unhandled error.
  client.on('error', () => client.destroy());
  let upstream: Duplex | undefined;
  try {
    upstream = await options.dial();
    if (client.destroyed) throw new AgentError('cancelled', 'splice: client left');
    bindLives(client, upstream);
    const length = contentLength(request);
    const body = head.subarray(0, length);
    // In one piece, as the client sent it: an engine drops the body of an attach that came with its head, and takes one
    // that comes later for stdin.
    upstream.write(Buffer.concat([requestHead(request, options.rules), body]));
    const early = passBody(client, upstream, head.subarray(body.length), length - body.length);
    const answer = await whilePresent(
      client,
      readAnswer(upstream, (interim) => client.write(interim)),
    );
    passAnswer(client, upstream, answer, options.answerHeaders, early);
    endWith(client, upstream);
  } catch (error) {
    upstream?.destroy();
    if (!client.destroyed) options.onUnreachable(error);
  }
}

/** A side that is destroyed leaves the other with nobody to talk to; an orderly end is passed on by the pipes. */
function bindLives(client: Duplex, upstream: Duplex): void {
  upstream.on('error', () => upstream.destroy());
  client.once('close', () => upstream.destroy());
}

/** How often a client that waits for the head of its answer is felt for. */
export const presenceProbeMs = 1_000;

/**
 * A client that has left is not seen while nothing is read of it, and its end alone may be the end of its input. To write
 * nothing tells: on a unix socket whose other side is closed that fails, and on TCP once the kernel knows of it.
 */
async function whilePresent<T>(client: Duplex, answered: Promise<T>): Promise<T> {
  const probe = setInterval(() => client.write(''), presenceProbeMs);
  try {
    return await answered;
  } finally {
    clearInterval(probe);
  }
}

/** Only once an answer has begun: before, a lost upstream is answered with an error of ours. */
function endWith(client: Duplex, upstream: Duplex): void {
  const end = (): void => {
    // What the upstream sent last must still leave: destroyed only once that is written.
    client.end();
    finished(client, { readable: false }, () => client.destroy());
  };
  if (upstream.closed) end();
  else upstream.once('close', end);
}

function requestHead(request: ProxyRequest, rules: RequestHeaderRules): Buffer {
  const headers = requestHeaders(request.rawHeaders, rules);
  let text = `${request.method} ${request.path} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}

function contentLength({ rawHeaders }: ProxyRequest): number {
  const at = rawHeaders.findIndex(
    (name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length',
  );
  return at === -1 ? 0 : Number(rawHeaders[at + 1]);
}

/** Bytes of the client that are not the request's body: held until the upstream has hijacked. */
type TakeEarly = () => Buffer;

/**
 * Passes so many bytes, then leaves the client unread. Nothing grows: at most one piece is read too much. A client that
 * ends before them has left: no upstream can make anything of half a body.
 */
function passBody(client: Duplex, upstream: Duplex, head: Buffer, length: number): TakeEarly {
  let left = length;
  let early: Buffer = Buffer.alloc(0);
  const pass = (chunk: Buffer): void => {
    const body = chunk.subarray(0, left);
    left -= body.length;
    early = chunk.subarray(body.length);
    if (body.length > 0 && !upstream.write(body)) client.pause();
    if (left === 0) stop();
  };
  const goOn = (): unknown => client.resume();
  const leave = (): unknown => client.destroy();
  const stop = (): void => {
    client.off('data', pass).off('end', leave).pause();
    upstream.off('drain', goOn);
  };
  upstream.on('drain', goOn);
  client.on('data', pass).on('end', leave);
  pass(head);
  return () => {
    stop();
    return early;
  };
}

export interface HijackHead {
  readonly head: ResponseHead;
  /** Bytes that came behind the head. */
  readonly rest: Buffer;
}

/** The first head that is no interim answer; interim ones (`100 Continue`) are for the client and returned as bytes. */
export function readAnswer(upstream: Duplex, onInterim: (bytes: Buffer) => void): Promise<HijackHead> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const done = (settle: () => void): void => {
      upstream.pause();
      upstream.off('data', onData).off('end', onEnd).off('close', onEnd);
      settle();
    };
    const onEnd = (): void =>
      done(() =>
        reject(new AgentError('protocol-violation', 'read hijack answer: connection closed before it')),
      );
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      try {
        let head = parseResponseHead(bytes);
        while (head !== undefined && head.status < 200 && head.status !== 101) {
          onInterim(bytes.subarray(0, head.length));
          bytes = bytes.subarray(head.length);
          head = parseResponseHead(bytes);
        }
        if (head === undefined) return;
        const answer = { head, rest: bytes.subarray(head.length) };
        done(() => resolve(answer));
      } catch (error) {
        done(() => reject(error));
      }
    };
    upstream.on('data', onData).once('end', onEnd).once('close', onEnd);
  });
}

function passAnswer(
  client: Duplex,
  upstream: Duplex,
  answer: HijackHead,
  added: readonly string[],
  takeEarly: TakeEarly,
): void {
  const { head, rest } = answer;
  const end = bodyEndOf(head);
  client.write(writeResponseHead(head, added, end.kind !== 'hijacked'), 'latin1');
  const early = takeEarly();
  if (end.kind === 'hijacked') {
    if (early.length > 0) upstream.write(early);
    client.pipe(upstream);
    if (rest.length > 0) client.write(rest);
    upstream.pipe(client);
    endAfterSilence(client, upstream);
    return;
  }
  client.resume();
  if (end.kind === 'close') {
    upstream.end();
    client.write(rest);
    upstream.pipe(client);
    return;
  }
  passLength(client, upstream, rest, end.bytes);
}

/** Exactly so many bytes, or as many as there are, then both connections end. */
function passLength(client: Duplex, upstream: Duplex, rest: Buffer, length: number): void {
  let left = length;
  const pass = (chunk: Buffer): void => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (!client.write(part)) upstream.pause();
    if (left === 0) upstream.destroy();
  };
  client.on('drain', () => upstream.resume());
  upstream.on('data', pass);
  // One that ends before them has ended its half only: the client would wait for the rest.
  upstream.once('end', () => upstream.destroy());
  pass(rest);
  upstream.resume();
}

/**
 * A closed engine looks like one that half-closed. The client may then go on sending, but one that has nothing to say
 * for so long holds two sockets for nobody.
 */
const halfClosedIdleMs = 60_000;

function endAfterSilence(client: Duplex, upstream: Duplex): void {
  upstream.once('end', () => {
    if (client.readableEnded) return;
    const timer = setTimeout(() => upstream.destroy(), halfClosedIdleMs);
    client.on('data', () => timer.refresh());
    client.once('close', () => clearTimeout(timer));
  });
}
