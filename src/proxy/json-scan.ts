// Walks JSON as bytes: where values, items and members begin and end. Pure. Values are never parsed; what is checked is
// what cutting and inserting rely on: strings, nesting, colons and commas.

import { AgentError } from '../errors.ts';

/** Go's own decoder stops at 10,000; Docker's answers nest some ten deep. */
export const maxNesting = 1_000;

/** Told the first index of an item and the one behind it. */
export type VisitItem = (start: number, end: number) => void;

/** Told the first index of a key, with its quotes, and of its value, and those behind them. */
export type VisitMember = (keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void;

/** Visits the items of the list of objects that opens at `start`. Returns the index behind its closing bracket. */
export function walkList(body: Buffer, start: number, visit: VisitItem): number {
  return walkItems(body, start, (at) => {
    const end = skipValue(body, at);
    visit(at, end);
    return end;
  });
}

/** The same for who walks the items itself: `walk` is told where one opens, and returns the index behind it. */
export function walkItems(body: Buffer, start: number, walk: (start: number) => number): number {
  if (body[start] !== bracketOpen) throw violation('not a list', start);
  let at = skipSpace(body, start + 1);
  if (body[at] === bracketClose) return at + 1;
  for (;;) {
    if (body[at] !== braceOpen) throw violation('an item that is no object', at);
    at = skipSpace(body, walk(at));
    if (body[at] === bracketClose) return at + 1;
    if (body[at] !== comma) throw violation('no comma between items', at);
    at = skipSpace(body, at + 1);
  }
}

/** Visits the members of the object that opens at `start`. Returns the index behind its closing brace. */
export function walkMembers(body: Buffer, start: number, visit: VisitMember): number {
  if (body[start] !== braceOpen) throw violation('not an object', start);
  let at = skipSpace(body, start + 1);
  if (body[at] === braceClose) return at + 1;
  for (;;) {
    const keyEnd = skipString(body, at);
    const behindKey = skipSpace(body, keyEnd);
    if (body[behindKey] !== colon) throw violation('no colon behind a key', behindKey);
    const value = skipSpace(body, behindKey + 1);
    const valueEnd = skipValue(body, value);
    visit(at, keyEnd, value, valueEnd);
    at = skipSpace(body, valueEnd);
    if (body[at] === braceClose) return at + 1;
    if (body[at] !== comma) throw violation('no comma between members', at);
    at = skipSpace(body, at + 1);
  }
}

/** Whether a key, quotes included, is this one. Spelled as the engine spells it: an escape in it makes it another. */
export function isKey(body: Buffer, start: number, end: number, quoted: Buffer): boolean {
  // The first letter tells nearly all apart, for a fifth of the price of a call.
  if (end - start !== quoted.length || body[start + 1] !== quoted[1]) return false;
  return body.compare(quoted, 0, quoted.length, start, end) === 0;
}

/** Index behind the value that begins at `start`. */
export function skipValue(body: Buffer, start: number): number {
  const first = body[start];
  if (first === quote) return skipString(body, start);
  if (first === braceOpen || first === bracketOpen) return skipNested(body, start);
  let at = start;
  while (at < body.length && !endsScalar(body[at] ?? 0)) at += 1;
  if (at === start) throw violation('no value', start);
  return at;
}

/** The hot loop: one table look-up for each byte outside of strings, a search for the quote inside them. */
function skipNested(body: Buffer, start: number): number {
  const open: number[] = [];
  const length = body.length;
  for (let at = start; at < length; at += 1) {
    const byte = body[at] as number; // within bounds, by the loop
    if (structural[byte] === 0) continue;
    if (byte === quote) at = skipString(body, at) - 1;
    // In ASCII both closing characters lie two behind their opening ones.
    else if (byte === braceOpen || byte === bracketOpen) open.push(byte + 2);
    else if (open.pop() !== byte) throw violation('mismatched bracket', at);
    if (open.length === 0) return at + 1;
    if (open.length > maxNesting) throw violation(`nested deeper than ${maxNesting}`, at);
  }
  throw violation('ends in the middle', length);
}

/** Index behind the closing quote of the string that begins at `start`. */
function skipString(body: Buffer, start: number): number {
  if (body[start] !== quote) throw violation('no string', start);
  const length = body.length;
  for (let at = start + 1; at < length; at += 1) {
    const byte = body[at];
    if (byte === quote) return at + 1;
    if (byte === backslash) at += 1;
  }
  throw violation('ends in a string', length);
}

export function skipSpace(body: Buffer, start: number): number {
  let at = start;
  while (isSpace(body[at])) at += 1;
  return at;
}

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function endsScalar(byte: number): boolean {
  return byte === comma || byte === braceClose || byte === bracketClose || isSpace(byte);
}

export function violation(reason: string, at: number): AgentError {
  return new AgentError('protocol-violation', `scan JSON: ${reason} at byte ${at}`);
}

const quote = 0x22;
export const comma: number = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;
const bracketOpen = 0x5b;
const bracketClose = 0x5d;
export const braceOpen: number = 0x7b;
const braceClose = 0x7d;

/** 1 for the bytes that mean something outside of a string. */
const structural = new Uint8Array(256);
for (const byte of [quote, bracketOpen, bracketClose, braceOpen, braceClose]) structural[byte] = 1;
