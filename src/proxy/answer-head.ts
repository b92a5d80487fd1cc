// Reads the head of an HTTP/1.1 answer strictly: what two parsers could read differently is refused, because the bytes
// behind it are the next answer on a kept connection. Pure.

import { AgentError } from '../errors.ts';

export interface AnswerHead {
  readonly status: number;
  readonly statusText: string;
  /** Flat name, value list, in latin-1. */
  readonly rawHeaders: readonly string[];
  /** `none` counts for every method; HEAD has no body either way. */
  readonly body: BodyFraming;
  /** Whether the connection may serve another request. */
  readonly keepAlive: boolean;
}

export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Ends with the connection. */
  | { readonly kind: 'close' };

const none: BodyFraming = { kind: 'none' };
const chunked: BodyFraming = { kind: 'chunked' };
const close: BodyFraming = { kind: 'close' };

// RFC 9112 sections 4 and 5: no folded lines, no space before the colon, no bare CR or LF, no NUL. The reason phrase may
// be anything, because nobody reads it.
const headPattern =
  /^HTTP\/1\.[01] [1-9]\d\d(?: [^\r\n]*)?(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*)*$/;

/** `text` is the head in latin-1, without the empty line that ends it. Throws `protocol-violation`. */
export function parseAnswerHead(text: string): AnswerHead {
  if (!headPattern.test(text)) throw violation('malformed head');
  const status = Number(text.slice(9, 12));
  const firstEnd = text.indexOf('\r\n');
  const rawHeaders = firstEnd === -1 ? [] : headerLines(text, firstEnd + 2);
  const fields = framingFields(rawHeaders);
  const body = framingOf(status, fields);
  return {
    status,
    statusText: text.slice(13, firstEnd === -1 ? undefined : firstEnd),
    rawHeaders,
    body,
    keepAlive: body.kind !== 'close' && text.charCodeAt(7) === 0x31 && !fields.close,
  };
}

/** Header or trailer lines from `at` on, each already known to have a name and a colon. */
export function headerLines(text: string, at: number): string[] {
  const found: string[] = [];
  for (let start = at; start < text.length; ) {
    const next = text.indexOf('\r\n', start);
    const end = next === -1 ? text.length : next;
    const colon = text.indexOf(':', start);
    found.push(text.slice(start, colon), trimmed(text, colon + 1, end));
    start = end + 2;
  }
  return found;
}

/** Without the spaces and tabs around it; `trim` would also take a no-break space, which is a byte of the value here. */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

interface FramingFields {
  length: number | undefined;
  chunked: boolean;
  close: boolean;
}

function framingFields(rawHeaders: readonly string[]): FramingFields {
  const fields: FramingFields = { length: undefined, chunked: false, close: false };
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const { length } = rawHeaders[i] ?? '';
    // Told apart by their length first: of some ten headers only these three can be meant.
    if (length === 14 || length === 17 || length === 10)
      readFraming(fields, rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  }
  if (fields.chunked && fields.length !== undefined) throw violation('content length and transfer encoding');
  return fields;
}

function readFraming(fields: FramingFields, name: string, value: string): void {
  switch (name.toLowerCase()) {
    case 'content-length':
      if (fields.length !== undefined || !/^\d{1,15}$/.test(value)) throw violation('content length');
      fields.length = Number(value);
      break;
    case 'transfer-encoding':
      if (fields.chunked || value.toLowerCase() !== 'chunked') throw violation('transfer encoding');
      fields.chunked = true;
      break;
    case 'connection':
      fields.close ||= /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(value);
  }
}

function framingOf(status: number, fields: FramingFields): BodyFraming {
  if (status === 101) throw violation('an upgrade that nobody asked for');
  if (status < 200 || status === 204 || status === 304) return none;
  if (fields.chunked) return chunked;
  return fields.length === undefined ? close : { kind: 'length', bytes: fields.length };
}

function violation(what: string): AgentError {
  return new AgentError('protocol-violation', `read answer: ${what}`);
}
