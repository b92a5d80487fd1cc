// Decides how much of a file is sent: RFC 9110 13 (conditional requests, in the order of 13.2.2) and 14 (ranges). Pure.
// Several ranges at once are answered with the whole file, which the RFC allows.

import type { IncomingHttpHeaders } from 'node:http';

export interface FileFacts {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Strong, with its quotes. */
  readonly etag: string;
}

export type Share =
  | { readonly kind: 'whole' }
  /** Both ends are included. */
  | { readonly kind: 'part'; readonly first: number; readonly last: number }
  | { readonly kind: 'unsatisfiable' }
  | { readonly kind: 'not-modified' }
  | { readonly kind: 'precondition-failed' };

const whole: Share = { kind: 'whole' };

export function decideShare(headers: IncomingHttpHeaders, file: FileFacts): Share {
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, file.etag, 'strong')) return { kind: 'precondition-failed' };
  } else if (isBefore(headers['if-unmodified-since'], file)) return { kind: 'precondition-failed' };
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, file.etag, 'weak')) return { kind: 'not-modified' };
  } else if (isUnmodified(headers['if-modified-since'], file)) return { kind: 'not-modified' };
  const range = headers.range;
  if (range === undefined || !isRangeMeant(headers['if-range'], file)) return whole;
  return decideRange(range, file.sizeBytes);
}

function decideRange(range: string, size: number): Share {
  const ranges = /^bytes=(.*)$/i.exec(range.trim())?.[1];
  if (ranges === undefined || size === 0 || ranges.includes(',')) return whole;
  const found = /^(\d*)-(\d*)$/.exec(ranges.trim());
  if (found === null) return { kind: 'unsatisfiable' };
  const [, from = '', to = ''] = found;
  if (from === '') {
    const length = Math.min(Number(to), size);
    return to === '' || length === 0
      ? { kind: 'unsatisfiable' }
      : { kind: 'part', first: size - length, last: size - 1 };
  }
  const first = Number(from);
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1);
  return first >= size || last < first ? { kind: 'unsatisfiable' } : { kind: 'part', first, last };
}

/** A part of an older version must not be appended to (RFC 9110 13.1.5). */
function isRangeMeant(condition: string | string[] | undefined, file: FileFacts): boolean {
  if (condition === undefined) return true;
  const text = String(condition).trim();
  if (text.startsWith('"')) return text === file.etag;
  return secondsOf(text) === wholeSeconds(file);
}

function matches(condition: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (condition.trim() === '*') return true;
  const tags = condition.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => (comparison === 'weak' ? tag.replace(/^W\//, '') : tag) === etag);
}

function isBefore(date: string | undefined, file: FileFacts): boolean {
  const seconds = secondsOf(date);
  return seconds !== undefined && wholeSeconds(file) > seconds;
}

function isUnmodified(date: string | undefined, file: FileFacts): boolean {
  const seconds = secondsOf(date);
  return seconds !== undefined && wholeSeconds(file) <= seconds;
}

/** Dates of HTTP have no fractions. */
function wholeSeconds({ modifiedMs }: FileFacts): number {
  return Math.floor(modifiedMs / 1_000);
}

/** Undefined for what is no date: the condition is ignored then. */
function secondsOf(date: string | undefined): number | undefined {
  if (date === undefined) return undefined;
  const ms = Date.parse(date);
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1_000);
}
