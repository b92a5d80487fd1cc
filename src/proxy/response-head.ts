// Reads one HTTP/1.1 response head from raw bytes and says how its body ends. Pure; needed only for hijacks, where the
// bytes behind the head belong to nobody's parser.

import { AgentError } from '../errors.ts';
import { headerValue, namesOf } from './headers.ts';

/** Go's own client limit for response headers is larger; a Docker answer to a hijack has some 300 bytes. */
export const maxResponseHeadBytes: number = 64 * 1024;

export interface ResponseHead {
  readonly status: number;
  /** The status line as it came, without its line end: dockerd writes `HTTP/1.1 101 UPGRADED`. */
  readonly statusLine: string;
  /** Flat name, value list. */
  readonly rawHeaders: readonly string[];
  /** Bytes of the head, final empty line included. */
  readonly length: number;
}

/** The first head in `bytes`, or undefined when it is not complete yet. Throws `protocol-violation`. */
export function parseResponseHead(bytes: Buffer): ResponseHead | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) {
    if (bytes.length > maxResponseHeadBytes) throw violation(`head is over ${maxResponseHeadBytes} bytes`);
    return undefined;
  }
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1];
  if (status === undefined) throw violation('malformed status line');
  return { status: Number(status), statusLine, rawHeaders: lines.flatMap(parseLine), length: end + 4 };
}

function parseLine(line: string): string[] {
  const colon = line.indexOf(':');
  if (colon < 1) throw violation('malformed header line');
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

export type BodyEnd =
  /** Raw bytes both ways until both sides close: after a 101, or a hijack without `Upgrade` (engine-api.md 1.10). */
  | { readonly kind: 'hijacked' }
  | { readonly kind: 'length'; readonly bytes: number }
  /** Chunked: ends when the upstream closes, which it does once our side has half-closed. */
  | { readonly kind: 'close' };

/** How the exchange goes on behind this head. */
export function bodyEndOf(head: ResponseHead): BodyEnd {
  if (head.status === 101) return { kind: 'hijacked' };
  const length = headerValue(head.rawHeaders, 'content-length');
  if (length !== undefined && /^\d{1,15}$/.test(length)) return { kind: 'length', bytes: Number(length) };
  if (head.status === 204 || head.status === 304) return { kind: 'length', bytes: 0 };
  if (headerValue(head.rawHeaders, 'transfer-encoding') !== undefined) return { kind: 'close' };
  return head.status === 200 ? { kind: 'hijacked' } : { kind: 'close' };
}

/**
 * The head as bytes for the client: the same line and headers, with `added` first and in the place of headers of the
 * same name, and `Connection` replaced if asked.
 */
export function writeResponseHead(head: ResponseHead, added: readonly string[], close: boolean): string {
  const lines = [head.statusLine];
  const dropped = namesOf(added);
  if (close) dropped.add('connection');
  for (let i = 0; i + 1 < added.length; i += 2) lines.push(`${added[i]}: ${added[i + 1]}`);
  for (let i = 0; i + 1 < head.rawHeaders.length; i += 2) {
    const name = head.rawHeaders[i] ?? '';
    if (!dropped.has(name.toLowerCase())) lines.push(`${name}: ${head.rawHeaders[i + 1]}`);
  }
  if (close) lines.push('Connection: close');
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function violation(reason: string): AgentError {
  return new AgentError('protocol-violation', `read hijack answer: ${reason}`);
}
