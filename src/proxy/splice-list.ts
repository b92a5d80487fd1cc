// Works on JSON lists as bytes: names the node in each item, and joins the lists of several nodes into one.
// Pure. Values are never parsed, so numbers, escapes and order stay exactly as the engine wrote them.

import { AgentError } from '../errors.ts';

/** Go's own decoder stops at 10,000; Docker's answers nest some ten deep. */
export const maxNesting = 1_000;

/**
 * The member that Portainer reads a node's name from (agent-api.md 8.4). It is written behind the object's own
 * members: where a key comes twice, `JSON.parse` and Go's decoder both take the last, so ours replaces an engine's.
 */
export function portainerMember(nodeName: string): Buffer {
  return Buffer.from(`"Portainer":{"Agent":{"NodeName":${JSON.stringify(nodeName)}}}`);
}

/** Adds `member` to each object of a JSON array of objects. Throws `protocol-violation` on anything else. */
export function decorateList(body: Buffer, member: Buffer): Buffer {
  const start = skipSpace(body, 0);
  const list = scanList(body, start);
  if (skipSpace(body, list.end) !== body.length) throw violation('bytes behind the list', list.end);
  return insertMembers(body, start, list, member);
}

/** The same for `{"Volumes":[…] or null,…}`. The result is `{"Volumes":[…]}` and nothing else, as compat wants it. */
export function decorateVolumes(body: Buffer, member: Buffer): Buffer {
  const at = findVolumes(body);
  if (at === undefined) return emptyVolumes;
  return Buffer.concat([volumesOpen, insertMembers(body, at, scanList(body, at), member), objectClose]);
}

/** One list of all items, in the order given. Each part is a JSON array with nothing around it but white space. */
export function joinLists(parts: readonly Buffer[]): Buffer {
  return join(
    listOpen,
    parts.map((part) => inside(part, listOpen, listClose)),
    listClose,
  );
}

/** The same for parts as `decorateVolumes` writes them. */
export function joinVolumes(parts: readonly Buffer[]): Buffer {
  return join(
    volumesListOpen,
    parts.map((part) => inside(part, volumesListOpen, volumesListClose)),
    volumesListClose,
  );
}

/**
 * Whether this can be a part of `joinLists`. Looks at both ends only: for a peer that is trusted to have written the
 * middle, because it decorated it with the scanner below.
 */
export function isList(part: Buffer): boolean {
  return hasEnds(part, listOpen, listClose);
}

/** Whether this can be a part of `joinVolumes`. */
export function isVolumes(part: Buffer): boolean {
  return hasEnds(part, volumesListOpen, volumesListClose);
}

interface ScannedList {
  /** Index of the closing brace of each item, and whether that item has members. */
  readonly ends: readonly ItemEnd[];
  /** Index behind the closing bracket. */
  readonly end: number;
}

interface ItemEnd {
  readonly brace: number;
  readonly empty: boolean;
}

/** Walks a list of objects that opens at `start`. Checks what an insertion relies on: strings, nesting and commas. */
function scanList(body: Buffer, start: number): ScannedList {
  if (body[start] !== bracketOpen) throw violation('not a list', start);
  const ends: ItemEnd[] = [];
  let at = skipSpace(body, start + 1);
  if (body[at] === bracketClose) return { ends, end: at + 1 };
  for (;;) {
    if (body[at] !== braceOpen) throw violation('an item that is no object', at);
    const behind = skipValue(body, at);
    const brace = behind - 1;
    ends.push({ brace, empty: skipSpace(body, at + 1) === brace });
    at = skipSpace(body, behind);
    if (body[at] === bracketClose) return { ends, end: at + 1 };
    if (body[at] !== comma) throw violation('no comma between items', at);
    at = skipSpace(body, at + 1);
  }
}

function insertMembers(body: Buffer, start: number, list: ScannedList, member: Buffer): Buffer {
  const result = Buffer.allocUnsafe(list.end - start + list.ends.length * (member.length + 1));
  let from = start;
  let to = 0;
  for (const { brace, empty } of list.ends) {
    to += body.copy(result, to, from, brace);
    if (!empty) result[to++] = comma;
    to += member.copy(result, to);
    from = brace;
  }
  to += body.copy(result, to, from, list.end);
  return result.subarray(0, to);
}

/** Index of the list that is the value of `Volumes`; undefined when that is null or absent, which is an empty list. */
function findVolumes(body: Buffer): number | undefined {
  let at = skipSpace(body, 0);
  if (body[at] !== braceOpen) throw violation('not an object', at);
  let found: number | undefined;
  at = skipSpace(body, at + 1);
  while (body[at] !== braceClose) {
    const keyEnd = skipString(body, at);
    const key = body.toString('latin1', at, keyEnd);
    at = skipSpace(body, keyEnd);
    if (body[at] !== colon) throw violation('no colon behind a key', at);
    const value = skipSpace(body, at + 1);
    if (key === '"Volumes"') found = body.toString('latin1', value, value + 4) === 'null' ? undefined : value;
    at = skipSpace(body, skipValue(body, value));
    if (body[at] === comma) at = skipSpace(body, at + 1);
    else if (body[at] !== braceClose) throw violation('no comma between members', at);
  }
  if (skipSpace(body, at + 1) !== body.length) throw violation('bytes behind the object', at + 1);
  return found;
}

/** Index behind the value that begins at `start`. */
function skipValue(body: Buffer, start: number): number {
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

function skipSpace(body: Buffer, start: number): number {
  let at = start;
  while (isSpace(body[at])) at += 1;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function endsScalar(byte: number): boolean {
  return byte === comma || byte === braceClose || byte === bracketClose || isSpace(byte);
}

/** What lies between the given ends, without white space at its own ends; empty for an empty list. */
function inside(part: Buffer, open: Buffer, close: Buffer): Buffer {
  if (!hasEnds(part, open, close)) throw violation('a part that is not such a list', 0);
  const start = skipSpace(part, skipSpace(part, 0) + open.length);
  let end = lastOf(part) + 1 - close.length;
  while (end > start && isSpace(part[end - 1])) end -= 1;
  return part.subarray(start, end);
}

function hasEnds(part: Buffer, open: Buffer, close: Buffer): boolean {
  const start = skipSpace(part, 0);
  const end = lastOf(part) + 1;
  if (end - start < open.length + close.length) return false;
  return (
    part.compare(open, 0, open.length, start, start + open.length) === 0 &&
    part.compare(close, 0, close.length, end - close.length, end) === 0
  );
}

/** Index of the last byte that is not white space. */
function lastOf(part: Buffer): number {
  let at = part.length - 1;
  while (at >= 0 && isSpace(part[at])) at -= 1;
  return at;
}

function join(open: Buffer, parts: readonly Buffer[], close: Buffer): Buffer {
  const pieces = [open];
  for (const part of parts) {
    if (part.length === 0) continue;
    if (pieces.length > 1) pieces.push(commaBytes);
    pieces.push(part);
  }
  pieces.push(close);
  return Buffer.concat(pieces);
}

function violation(reason: string, at: number): AgentError {
  return new AgentError('protocol-violation', `splice list: ${reason} at byte ${at}`);
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;
const bracketOpen = 0x5b;
const bracketClose = 0x5d;
const braceOpen = 0x7b;
const braceClose = 0x7d;

/** 1 for the bytes that mean something outside of a string. */
const structural = new Uint8Array(256);
for (const byte of [quote, bracketOpen, bracketClose, braceOpen, braceClose]) structural[byte] = 1;

const listOpen = Buffer.from('[');
const listClose = Buffer.from(']');
const commaBytes = Buffer.from(',');
const objectClose = Buffer.from('}');
const volumesOpen = Buffer.from('{"Volumes":');
const volumesListOpen = Buffer.from('{"Volumes":[');
const volumesListClose = Buffer.from(']}');
const emptyVolumes = Buffer.from('{"Volumes":[]}');
