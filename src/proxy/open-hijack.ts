// Opens a hijack to the engine for a console of ours: the request goes out, and what comes back is either the raw stream
// or the engine's refusal. Bytes that came together with the 101 stay in front of the stream.

import type { Duplex } from 'node:stream';
import { AgentError, reasonOf } from '../errors.ts';
import type { HijackAnswer, OpenLimits, ProxyRequest } from './proxy.ts';
import { bodyEndOf } from './response-head.ts';
import { readAnswer } from './upgrade.ts';

/** An engine's refusal is one line of JSON. */
const maxRefusalBytes = 64 * 1024;

export async function openHijack(
  dial: () => Promise<Duplex>,
  request: ProxyRequest,
  limits: OpenLimits,
): Promise<HijackAnswer> {
  const upstream = await dial();
  const signal = AbortSignal.any([limits.signal, AbortSignal.timeout(limits.firstByteMs)]);
  const giveUp = (): unknown => upstream.destroy();
  upstream.on('error', giveUp);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    signal.throwIfAborted();
    upstream.write(requestBytes(request));
    const { head, rest } = await readAnswer(upstream, () => undefined);
    const end = bodyEndOf(head);
    if (end.kind === 'hijacked') {
      if (rest.length > 0) upstream.unshift(rest);
      return { kind: 'hijacked', stream: upstream };
    }
    // A chunked one ends when the engine closes, which it does once our side has ended.
    if (end.kind === 'close') upstream.end();
    const length = end.kind === 'length' ? Math.min(end.bytes, maxRefusalBytes) : maxRefusalBytes;
    const body = await readUpTo(upstream, rest, length);
    upstream.destroy();
    return { kind: 'refused', status: head.status, body };
  } catch (error) {
    upstream.destroy();
    throw failureOf(error, limits);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function requestBytes({ method, path, rawHeaders, body }: ProxyRequest): Buffer {
  let text = `${method} ${path} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  const head = Buffer.from(`${text}\r\n`, 'latin1');
  return body === undefined ? head : Buffer.concat([head, body]);
}

/** Ends with the stream where that is shorter: a chunked refusal is closed by the engine. */
async function readUpTo(upstream: Duplex, rest: Buffer, length: number): Promise<Buffer> {
  const pieces = [rest];
  let bytes = rest.length;
  if (bytes < length) {
    for await (const piece of upstream as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes >= length) break;
    }
  }
  return Buffer.concat(pieces).subarray(0, length);
}

function failureOf(error: unknown, { signal, firstByteMs }: OpenLimits): AgentError {
  if (signal.aborted) return new AgentError('cancelled', 'open a console: the client left', { cause: error });
  if (error instanceof AgentError && error.code !== 'protocol-violation') return error;
  // Whatever it sent instead, to the client the engine gave no answer.
  const attempted = `open a console within ${firstByteMs} ms`;
  return new AgentError('engine-unreachable', `${attempted}: ${reasonOf(error)}`, { cause: error });
}
