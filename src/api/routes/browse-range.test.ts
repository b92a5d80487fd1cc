// Ranges and conditional requests as tables (RFC 9110 13 and 14).

import { deepEqual } from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { decideShare, type Share } from './browse-range.ts';

const file = { sizeBytes: 100, modifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678), etag: '"tag"' };
const [before, same, after] = [
  'Fri, 02 Jan 2026 03:04:04 GMT',
  'Fri, 02 Jan 2026 03:04:05 GMT',
  'Fri, 02 Jan 2026 03:04:06 GMT',
];
const whole: Share = { kind: 'whole' };
const unsatisfiable: Share = { kind: 'unsatisfiable' };
const notModified: Share = { kind: 'not-modified' };
const failed: Share = { kind: 'precondition-failed' };

function part(first: number, last: number): Share {
  return { kind: 'part', first, last };
}

describe('how much of a file is sent', () => {
  const cases: readonly (readonly [IncomingHttpHeaders, Share])[] = [
    [{}, whole],
    [{ range: 'bytes=0-9' }, part(0, 9)],
    [{ range: 'BYTES=0-9' }, part(0, 9)],
    [{ range: 'bytes=10-' }, part(10, 99)],
    [{ range: 'bytes=-10' }, part(90, 99)],
    [{ range: 'bytes=-1000' }, part(0, 99)],
    [{ range: 'bytes=99-100000000000000000000' }, part(99, 99)],
    [{ range: 'bytes=100-' }, unsatisfiable],
    [{ range: 'bytes=9-0' }, unsatisfiable],
    [{ range: 'bytes=-0' }, unsatisfiable],
    [{ range: 'bytes=-' }, unsatisfiable],
    [{ range: 'bytes=x' }, unsatisfiable],
    [{ range: 'bytes=0-1,5-6' }, whole],
    [{ range: 'lines=0-1' }, whole],
    [{ 'if-range': '"tag"', range: 'bytes=0-0' }, part(0, 0)],
    [{ 'if-range': '"old"', range: 'bytes=0-0' }, whole],
    [{ 'if-range': 'W/"tag"', range: 'bytes=0-0' }, whole],
    [{ 'if-range': same, range: 'bytes=0-0' }, part(0, 0)],
    [{ 'if-range': after, range: 'bytes=0-0' }, whole],
    [{ 'if-none-match': '"tag"' }, notModified],
    [{ 'if-none-match': '"a", W/"tag"' }, notModified],
    [{ 'if-none-match': '*' }, notModified],
    [{ 'if-none-match': '"a"', 'if-modified-since': after }, whole],
    [{ 'if-modified-since': before }, whole],
    [{ 'if-modified-since': same }, notModified],
    [{ 'if-modified-since': 'no date' }, whole],
    [{ 'if-match': '"tag"' }, whole],
    [{ 'if-match': '*' }, whole],
    [{ 'if-match': 'W/"tag"' }, failed],
    [{ 'if-match': '"a"' }, failed],
    [{ 'if-unmodified-since': before }, failed],
    [{ 'if-unmodified-since': same }, whole],
    [{ 'if-match': '"tag"', 'if-unmodified-since': before }, whole],
    [{ 'if-match': '"a"', 'if-none-match': '"tag"' }, failed],
    [{ 'if-none-match': '"tag"', range: 'bytes=0-0' }, notModified],
  ];
  for (const [headers, share] of cases)
    it(`decides ${JSON.stringify(headers)}`, () => {
      deepEqual(decideShare(headers, file), share);
    });

  it('sends an empty file whole, whatever range is asked for', () => {
    deepEqual(decideShare({ range: 'bytes=0-0' }, { ...file, sizeBytes: 0 }), whole);
  });
});
