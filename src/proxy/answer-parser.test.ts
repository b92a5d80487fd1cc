// Answers as engines send them, cut at every place, and as nobody should send them.

import assert from 'node:assert/strict';
import { AnswerParser, maxAnswerHeadBytes, maxInterimAnswers } from './answer-parser.ts';

interface Seen {
  status: number;
  statusText: string;
  headers: readonly string[];
  body: string;
  trailers: readonly string[];
  keepAlive: boolean;
  ended: boolean;
}

/** What a client sees of these pieces; whole answers and those in parts must look the same. */
function see(pieces: readonly Buffer[], method: string, closes = false): Seen {
  const seen: Seen = {
    status: 0,
    statusText: '',
    headers: [],
    body: '',
    trailers: [],
    keepAlive: false,
    ended: false,
  };
  const parser = new AnswerParser({
    onHead: ({ status, statusText, rawHeaders, keepAlive }) => {
      assert.equal(seen.status, 0, 'one head');
      Object.assign(seen, { status, statusText, headers: rawHeaders, keepAlive });
    },
    onBody: (bytes) => {
      assert.ok(bytes.length > 0, 'no empty pieces');
      seen.body += bytes.toString('latin1');
    },
    onEnd: (trailers) => {
      assert.equal(seen.ended, false, 'one end');
      Object.assign(seen, { trailers, ended: true });
    },
    onWhole: ({ status, statusText, rawHeaders, keepAlive }, body) => {
      assert.equal(seen.status, 0, 'one head');
      Object.assign(seen, { status, statusText, headers: rawHeaders, keepAlive, body, ended: true });
    },
  });
  parser.start(method);
  for (const piece of pieces) parser.push(piece);
  if (closes) parser.end();
  assert.equal(parser.isIdle(), seen.ended);
  return seen;
}

interface Case {
  readonly name: string;
  readonly text: string;
  readonly method?: string;
  readonly closes?: true;
  readonly expected: Partial<Seen>;
}

const cases: readonly Case[] = [
  {
    name: 'a known length',
    text: 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 2\r\n\r\nOK',
    expected: {
      status: 200,
      statusText: 'OK',
      headers: ['Content-Type', 'text/plain', 'content-length', '2'],
      body: 'OK',
      keepAlive: true,
    },
  },
  {
    name: 'chunks with extensions and trailers',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0A\r\n, my world\r\n00\r\nX-A: 1\r\nX-B:\r\n\r\n',
    expected: { body: 'hello, my world', trailers: ['X-A', '1', 'X-B', ''], keepAlive: true },
  },
  {
    name: 'chunks without trailers, with line ends in the body',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n',
    expected: { body: '\r\n\r\n0', trailers: [] },
  },
  {
    name: 'a body that ends with the connection',
    text: 'HTTP/1.1 200 OK\r\nA: b\r\n\r\nall of it',
    closes: true,
    expected: { body: 'all of it', keepAlive: false },
  },
  {
    name: 'interim answers',
    text: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx',
    expected: { status: 201, headers: ['Content-Length', '1'], body: 'x' },
  },
  {
    name: 'HEAD with a length',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n',
    method: 'HEAD',
    expected: { status: 200, body: '', keepAlive: true },
  },
  {
    name: 'HEAD with chunks that do not come',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    method: 'HEAD',
    expected: { body: '' },
  },
  { name: 'no content', text: 'HTTP/1.1 204 No Content\r\n\r\n', expected: { status: 204, body: '' } },
  {
    name: 'not modified, with the length of what was',
    text: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n',
    expected: { status: 304, body: '' },
  },
  {
    name: 'an empty body',
    text: 'HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: foo , Close\r\n\r\n',
    expected: { status: 500, statusText: 'X', body: '', keepAlive: false },
  },
  {
    name: 'an older version, whose connection is not kept',
    text: 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx',
    expected: { body: 'x', keepAlive: false },
  },
  {
    name: 'values that are no ASCII, empty or padded, and any reason',
    text: 'HTTP/1.1 299 \x01\xe9 \0\r\nA:\t \xa0\xff \t\r\nB:\r\nA: \r\nContent-Length: 1\r\n\r\n\xff',
    expected: {
      statusText: '\x01\xe9 \0',
      headers: ['A', '\xa0\xff', 'B', '', 'A', '', 'Content-Length', '1'],
      body: '\xff',
    },
  },
  {
    name: 'no reason and no headers',
    text: 'HTTP/1.1 200\r\n\r\nx',
    closes: true,
    expected: { statusText: '', headers: [], body: 'x' },
  },
];

describe('answer parser', () => {
  for (const { name, text, method = 'GET', closes = false, expected } of cases) {
    const bytes = Buffer.from(text, 'latin1');
    it(`reads ${name}, wherever it is cut`, () => {
      const whole = see([bytes], method, closes);
      assert.partialDeepStrictEqual(whole, { ...expected, ended: true });
      for (let cut = 1; cut < bytes.length; cut += 1) {
        const halves = [bytes.subarray(0, cut), bytes.subarray(cut)];
        assert.deepEqual(see(halves, method, closes), whole, `cut at ${cut}`);
        for (let second = cut + 1; second < bytes.length; second += 23) {
          const thirds = [bytes.subarray(0, cut), bytes.subarray(cut, second), bytes.subarray(second)];
          assert.deepEqual(see(thirds, method, closes), whole, `cut at ${cut} and ${second}`);
        }
      }
      const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
      assert.deepEqual(see(single, method, closes), whole, 'byte by byte');
    });
    if (!closes) {
      it(`knows where ${name} ends`, () => {
        for (const extra of ['x', '\r\n', 'HTTP/1.1 200 OK\r\n\r\n']) {
          assert.throws(() => see([Buffer.concat([bytes, Buffer.from(extra)])], method), violation, extra);
          assert.throws(() => see([bytes, Buffer.from(extra)], method), violation, extra);
        }
        for (let cut = 0; cut < bytes.length; cut += 1)
          assert.equal(see([bytes.subarray(0, cut)], method, true).ended, false, `ended at ${cut}`);
      });
    }
  }

  it('reads a body of any size', () => {
    const body = Buffer.alloc(300_000, 'b');
    const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    const seen = see([Buffer.concat([head, body.subarray(0, 1_000)]), body.subarray(1_000)], 'GET');
    assert.equal(seen.body.length, body.length);
    assert.equal(seen.ended, true);
  });

  const framed = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const [name, text] of [
    ['another protocol', 'HTTP/2 200\r\n\r\n'],
    ['garbage', 'garbage\r\n\r\n'],
    ['a status that is none', 'HTTP/1.1 099 X\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['an upgrade', 'HTTP/1.1 101 X\r\nUpgrade: tcp\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab'],
    ['a length with a sign', 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab'],
    ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nab'],
    ['a length beyond all numbers', 'HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n'],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['another encoding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    [
      'chunked twice',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: b\r\n\r\n'],
    ['a line without a colon', 'HTTP/1.1 200 OK\r\nabc\r\n\r\n'],
    ['a bare line feed', 'HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\n\r\nab'],
    ['a bare carriage return', 'HTTP/1.1 200 OK\r\nA: b\rContent-Length: 2\r\n\r\nab'],
    ['a NUL', 'HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n'],
    ['a negative chunk', `${framed}-1\r\n`],
    ['a chunk size in decimal notation of Go', `${framed}0x1\r\n`],
    ['a chunk size with a space', `${framed} 1\r\n`],
    ['no chunk size', `${framed}\r\n`],
    ['a chunk size that ends in a bare line feed', `${framed}1\na\r\n0\r\n\r\n`],
    ['a chunk longer than its size', `${framed}1\r\nabc\r\n`],
    ['a chunk that ends in a bare line feed', `${framed}1\r\na\n0\r\n\r\n`],
    ['an endless chunk line', `${framed}1;${'a'.repeat(2_000)}`],
    ['a malformed trailer', `${framed}0\r\nabc\r\n\r\n`],
    ['endless trailers', `${framed}0\r\n${'A: b\r\n'.repeat(maxAnswerHeadBytes / 6 + 1)}`],
    ['an endless head', `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(2 * maxAnswerHeadBytes)}`],
    ['endless interim answers', 'HTTP/1.1 100 C\r\n\r\n'.repeat(maxInterimAnswers + 1)],
  ] as const) {
    it(`refuses ${name}, wherever it is cut`, () => {
      const bytes = Buffer.from(text, 'latin1');
      assert.throws(() => see([bytes], 'GET', true), violation);
      for (let cut = 1; cut < Math.min(bytes.length, 200); cut += 1)
        assert.throws(() => see([bytes.subarray(0, cut), bytes.subarray(cut)], 'GET', true), violation);
    });
  }
});

const violation = { code: 'protocol-violation' };
