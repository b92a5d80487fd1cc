// Response heads as engines write them, and as nobody should.

import assert from 'node:assert/strict';
import { bodyEndOf, maxResponseHeadBytes, parseResponseHead, writeResponseHead } from './response-head.ts';

const parse = (text: string) => parseResponseHead(Buffer.from(text, 'latin1'));

describe('response head', () => {
  it('reads the raw 101 of dockerd and leaves what is behind it', () => {
    const text =
      'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nUpgrade: tcp\r\n\r\n';
    const head = parse(`${text}data`);
    assert.equal(head?.length, text.length);
    assert.equal(head?.statusLine, 'HTTP/1.1 101 UPGRADED');
    assert.deepEqual(head && bodyEndOf(head), { kind: 'hijacked' });
    assert.ok(
      head && writeResponseHead(head, ['A', 'b'], false).startsWith('HTTP/1.1 101 UPGRADED\r\nA: b\r\n'),
    );
  });

  it('waits for the rest of an incomplete head, up to its bound', () => {
    assert.equal(parse('HTTP/1.1 200 OK\r\nA: b\r\n'), undefined);
    assert.throws(() => parse('x'.repeat(maxResponseHeadBytes + 1)), { code: 'protocol-violation' });
  });

  const ends: readonly [string, string, unknown][] = [
    ['a hijack without upgrade', 'HTTP/1.1 200 OK\r\nContent-Type: x', { kind: 'hijacked' }],
    [
      'an answer of known length',
      'HTTP/1.1 404 Not Found\r\ncontent-length: 12',
      { kind: 'length', bytes: 12 },
    ],
    ['a detached start', 'HTTP/1.1 200 OK\r\nContent-Length: 0', { kind: 'length', bytes: 0 }],
    ['a chunked answer', 'HTTP/1.1 500 X\r\nTransfer-Encoding: chunked', { kind: 'close' }],
    ['no content', 'HTTP/1.1 204 No Content\r\nA: b', { kind: 'length', bytes: 0 }],
    ['an error without framing', 'HTTP/1.1 500 X\r\nA: b', { kind: 'close' }],
  ];
  for (const [name, text, expected] of ends) {
    it(`knows the end of ${name}`, () => {
      const head = parse(`${text}\r\n\r\n`);
      assert.deepEqual(head && bodyEndOf(head), expected);
    });
  }

  for (const text of [
    'garbage\r\n\r\n',
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.1 200 OK\r\n: x\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () =>
      assert.throws(() => parse(text), { code: 'protocol-violation' }));
  }

  it("puts an added header in the place of the answer's own", () => {
    const head = parse('HTTP/1.1 200 OK\r\napi-version: 1.41\r\nA: b\r\n\r\n');
    assert.equal(
      head && writeResponseHead(head, ['Api-Version', '1.39'], false),
      'HTTP/1.1 200 OK\r\nApi-Version: 1.39\r\nA: b\r\n\r\n',
    );
  });

  it('says that the connection ends where it does', () => {
    const head = parse('HTTP/1.1 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n');
    assert.equal(
      head && writeResponseHead(head, [], true),
      'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    );
  });
});
