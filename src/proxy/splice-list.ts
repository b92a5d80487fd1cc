// Works on JSON lists as bytes: names the node in each item, and joins the lists of several nodes into one.
// Pure. Values are never parsed, so numbers, escapes and order stay exactly as the engine wrote them.

import { comma, isKey, isSpace, skipSpace, violation, walkList, walkMembers } from './json-scan.ts';

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

function scanList(body: Buffer, start: number): ScannedList {
  const ends: ItemEnd[] = [];
  const end = walkList(body, start, (from, behind) => {
    ends.push({ brace: behind - 1, empty: skipSpace(body, from + 1) === behind - 1 });
  });
  return { ends, end };
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
export function findVolumes(body: Buffer): number | undefined {
  let found: number | undefined;
  const end = walkMembers(body, skipSpace(body, 0), (keyStart, keyEnd, value) => {
    if (isKey(body, keyStart, keyEnd, volumesKey)) found = isNull(body, value) ? undefined : value;
  });
  if (skipSpace(body, end) !== body.length) throw violation('bytes behind the object', end);
  return found;
}

function isNull(body: Buffer, value: number): boolean {
  return body.toString('latin1', value, value + 4) === 'null';
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

const volumesKey = Buffer.from('"Volumes"');
const listOpen = Buffer.from('[');
const listClose = Buffer.from(']');
const commaBytes = Buffer.from(',');
const objectClose = Buffer.from('}');
const volumesOpen = Buffer.from('{"Volumes":');
const volumesListOpen = Buffer.from('{"Volumes":[');
const volumesListClose = Buffer.from(']}');
const emptyVolumes = Buffer.from('{"Volumes":[]}');
