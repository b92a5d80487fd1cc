// Writes who was asked for a merged answer and who is missing, as response headers.
// Pure. The headers stay within a bound that every client takes, and no node name can break out of them.

import { flotillaHeaders } from '../wire.ts';

/** Node clients refuse an answer with over 16 KiB of headers; this leaves the engine's own their room. */
export const maxMissingHeaderBytes = 4_096;

export interface MissingNode {
  readonly node: string;
  /** A token: lower-case letters and dashes. */
  readonly reason: string;
  /** Wall clock since when it is missing, milliseconds. */
  readonly sinceMs: number;
  /** The HTTP status of an answer that was no list. */
  readonly status?: number;
}

/**
 * A flat name, value list: `Flotilla-Nodes: asked=3, answered=2, missing=1`, and unless all answered
 * `Flotilla-Missing: node3;reason=timeout;age=12`, ages in seconds. What does not fit is counted: `*;more=7`.
 */
export function missingHeaders(asked: number, missing: readonly MissingNode[], nowMs: number): string[] {
  const counts = `asked=${asked}, answered=${asked - missing.length}, missing=${missing.length}`;
  const headers: string[] = [flotillaHeaders.nodes, counts];
  if (missing.length > 0) headers.push(flotillaHeaders.missing, missingValue(missing, nowMs));
  return headers;
}

function missingValue(missing: readonly MissingNode[], nowMs: number): string {
  const items: string[] = [];
  let bytes = 0;
  for (const [index, node] of missing.entries()) {
    const item = toItem(node, nowMs);
    const left = missing.length - index;
    // The count must still fit behind whatever is written before it.
    if (bytes + item.length + reservedBytes > maxMissingHeaderBytes) {
      items.push(`*;more=${left}`);
      break;
    }
    items.push(item);
    bytes += item.length + separator.length;
  }
  return items.join(separator);
}

function toItem({ node, reason, sinceMs, status }: MissingNode, nowMs: number): string {
  // A wall clock may step back; an age below zero would only puzzle.
  const ageSeconds = Math.max(0, Math.floor((nowMs - sinceMs) / 1_000));
  const parameters = status === undefined ? reason : `${reason};status=${status}`;
  return `${escapeName(node)};reason=${parameters};age=${ageSeconds}`;
}

/** Percent-encodes all but the characters of ordinary host names: none that separates, quotes or ends a header. */
function escapeName(name: string): string {
  const short = name.length > maxNameLength ? name.slice(0, maxNameLength) : name;
  return Buffer.from(short)
    .toString('latin1')
    .replaceAll(
      /[^A-Za-z0-9_.:-]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
}

/** A host name has at most 253 characters; a longer name is cut, so that one member cannot fill the header. */
const maxNameLength = 253;
const separator = ', ';
/** Room for `, *;more=` and a count. */
const reservedBytes = 24;
