// Asks two Docker sockets the same, and says how their answers differ. What changes by itself between two answers of one
// engine is masked, by name and with its reason; everything else must be the same to the byte.

import { createHash } from 'node:crypto';
import { type RawAnswer, type RawRequest, requestRaw } from './raw-http.ts';

/** Takes out of a body what one engine itself answers differently a moment later. */
export type Mask = (body: string) => string;

export interface Question extends RawRequest {
  readonly method: string;
  /** Default: the whole body counts. */
  readonly mask?: Mask;
}

/** Status, headers and body, in the form in which two answers are compared. */
export interface Seen {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Of the connection and not of the answer, and the clock. Bodies are compared as they are without chunks. */
const leftOut = new Set(['connection', 'keep-alive', 'transfer-encoding', 'date']);
const shownBytes = 4_000;

export async function ask(socketPath: string, question: Question): Promise<Seen> {
  const answer = await requestRaw({ kind: 'unix', path: socketPath }, question);
  const body = answer.body.toString('latin1');
  const masked = question.mask?.(body) ?? body;
  return {
    status: answer.status,
    headers: headersOf(answer, question.mask === undefined),
    body: masked.length > shownBytes ? `${masked.length} bytes: ${hashOf(masked)}` : masked,
  };
}

/** Sorted: an engine's own order is that of a Go map. The length of what is masked says nothing. */
function headersOf({ rawHeaders }: RawAnswer, isWhole: boolean): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    if (leftOut.has(name) || name.startsWith('flotilla-')) continue;
    if (name === 'content-length' && !isWhole) continue;
    lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  }
  return lines.toSorted();
}

/** Tar files are too long to be shown. */
function hashOf(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

/** The values of these JSON members. */
export function members(...names: readonly string[]): Mask {
  const pattern = new RegExp(`"(${names.join('|')})":("[^"]*"|-?[0-9.e+]+)`, 'gu');
  return (body) => body.replaceAll(pattern, '"$1":masked');
}

/** Every number and time in it: what is left is the structure. */
export const numbers: Mask = (body) =>
  body.replaceAll(/"\d{4}-\d\d-\d\dT[^"]*"/gu, 'time').replaceAll(/-?\b\d[\d.e+]*/gu, 'n');

/** `Up 3 seconds`. */
export const age: Mask = (body) => body.replaceAll(/"Status":"Up [^"]*"/gu, '"Status":"Up"');

/** Networks come in the order of a Go map, which changes from call to call. */
export const anyOrder: Mask = (body) => {
  const items: readonly unknown[] = JSON.parse(body);
  return items
    .map((item) => JSON.stringify(item))
    .toSorted()
    .join('\n');
};
