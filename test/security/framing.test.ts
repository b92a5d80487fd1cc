// Attacks on the framing of requests. Each carries a signed second request that must never get through.

import { deepEqual, equal } from 'node:assert/strict';
import { createExec, mark, ttyContainer, useAgent } from '../support/checks.ts';
import { greeting } from '../support/engine/hijack.ts';
import { eventually } from '../support/eventually.ts';
import { exchangeRaw } from '../support/raw-http.ts';
import { assertRefused, assertStillWorks, signedHead, smuggled, warmUp } from './attack.ts';

const post = 'POST /images/load HTTP/1.1';
const tcp = ['Connection: Upgrade', 'Upgrade: tcp'];

describe('framing attacks', () => {
  const under = useAgent();

  const badLengths: readonly (readonly [string, readonly string[]])[] = [
    ['A-08 length and chunked together', ['Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['A-08 chunked and length together', ['Transfer-Encoding: chunked', 'Content-Length: 5']],
    ['A-08 two lengths', ['Content-Length: 5', 'Content-Length: 6']],
    ['A-08 the same length twice', ['Content-Length: 5', 'Content-Length: 5']],
    ['A-08 an empty length', ['Content-Length: ']],
    ['A-08 a signed length', ['Content-Length: +5']],
    ['A-08 a negative length', ['Content-Length: -5']],
    ['A-08 a hexadecimal length', ['Content-Length: 0x5']],
    ['A-08 a list of lengths', ['Content-Length: 5, 5']],
    ['A-08 a length beyond 2^64', ['Content-Length: 18446744073709551621']],
    ['A-09 an unknown transfer coding', ['Transfer-Encoding: xchunked']],
    ['A-09 chunked that is not last', ['Transfer-Encoding: chunked, identity']],
    ['A-09 chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
    ['A-09 a vertical tab before chunked', ['Transfer-Encoding: \x0bchunked']],
    ['A-09 a folded transfer coding', ['Transfer-Encoding:', ' chunked']],
    ['A-09 a folded header', ['X-Other: a', ' Transfer-Encoding: chunked']],
    ['A-10 a space before the colon', ['Transfer-Encoding : chunked']],
    ['A-10 a carriage return in a value', ['X-Other: a\rTransfer-Encoding: chunked']],
    ['A-10 NUL in a value', ['X-Other: a\0b']],
    ['A-10 NUL in a name', ['X-Ot\0her: a']],
    ['A-10 a header without a name', [': a']],
    ['A-10 a header without a colon', ['X-Other']],
  ];
  for (const [name, lines] of badLengths) {
    it(`${name} is refused`, async () => {
      await assertRefused(under(), `${signedHead(under(), post, ...lines)}\r\n0\r\n\r\n${smuggled(under())}`);
    });
  }

  it('A-10 lines that end in a line feed only are refused', async () => {
    const head = signedHead(under(), post, 'Content-Length: 0');
    await assertRefused(under(), `${head}\r\n`.replaceAll('\r\n', '\n') + smuggled(under()));
    await assertRefused(under(), `${head.replace('\r\nHost', '\nHost')}\r\n${smuggled(under())}`);
  });

  for (const [name, body] of [
    ['an oversized chunk size', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size that is no number', 'zz\r\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than its size', '2\r\nhello\r\n0\r\n\r\n'],
    ['a line feed after the chunk size', '5\nhello\r\n0\r\n\r\n'],
  ] as const) {
    it(`A-10 ${name} cuts the exchange`, async () => {
      await warmUp(under());
      const bytes = `${signedHead(under(), post, 'Transfer-Encoding: chunked')}\r\n${body}${smuggled(under())}`;
      const answer = await exchangeRaw(under().agent.compat, bytes);
      equal(/HTTP\/1\.1 2/.test(answer), false, answer);
      await assertStillWorks(under());
      // The engine may have seen the beginning, but never an end of it, and nothing behind it.
      await eventually(() =>
        deepEqual(
          under()
            .forwarded()
            .filter(({ target, outcome }) => target !== '/images/load' || outcome !== 'body-cut'),
          [],
        ),
      );
    });
  }

  for (const [name, body] of [
    ['chunk extensions', '5;a=b;c="d"\r\nhello\r\n0\r\n\r\n'],
    [
      'trailers that look like framing',
      '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n',
    ],
  ] as const) {
    it(`A-09, A-10 ${name} do not change the body, and do not reach the engine`, async () => {
      await warmUp(under());
      const head = signedHead(under(), post, 'Transfer-Encoding: chunked', 'Connection: close');
      const answer = await exchangeRaw(under().agent.compat, `${head}\r\n${body}`);
      // Refusing is as good as passing on the bare body.
      if (/^HTTP\/1\.1 400/.test(answer)) return;
      equal(/^HTTP\/1\.1 200/.test(answer), true, answer);
      deepEqual(
        under()
          .forwarded()
          .map(({ body: bytes }) => bytes.toString()),
        ['hello'],
      );
    });
  }

  it('A-10 garbage after the last chunk is refused as the next request', async () => {
    await warmUp(under());
    const head = signedHead(under(), post, 'Transfer-Encoding: chunked');
    const bytes = `${head}\r\n5\r\nhello\r\n0\r\n\r\ngarbage\r\n\r\n`;
    const answer = await exchangeRaw(under().agent.compat, bytes);
    equal(/HTTP\/1\.1 2[\s\S]*HTTP\/1\.1 2/.test(answer), false, answer);
    // The first request is whole: it may be served, or cut with its connection. The garbage is in neither.
    for (const { target, body } of under().forwarded()) {
      equal(target, '/images/load');
      equal('hello'.startsWith(body.toString()), true);
    }
    await assertStillWorks(under());
  });

  for (const upgrade of [true, false]) {
    it(`A-11 bytes behind a hijacking request are input, not requests, ${upgrade ? 'with' : 'without'} an upgrade`, async () => {
      await warmUp(under());
      const id = await createExec(under(), 'cat');
      const second = smuggled(under());
      const start = signedHead(
        under(),
        `POST /exec/${id}/start HTTP/1.1`,
        'Content-Length: 2',
        ...(upgrade ? tcp : []),
      );
      await using connection = await under().connect();
      await connection.send(`${start}\r\n{}${second}`);
      await connection.head();
      equal((await connection.reader.exactly(greeting.length)).toString(), greeting);
      equal((await connection.reader.exactly(second.length)).toString(), second);
      deepEqual(under().engine.receivedAt('/smuggled'), []);
    });
  }

  it('A-11 bytes behind a refused hijack are not answered as a request of the first one', async () => {
    await warmUp(under());
    const start = ['POST /exec/beef/start HTTP/1.1', 'Host: agent', 'Content-Length: 2', ...tcp, '', '{}'];
    const answer = await exchangeRaw(under().agent.compat, start.join('\r\n') + smuggled(under()));
    equal(/^HTTP\/1\.1 403/.test(answer), true, answer);
    deepEqual(under().engine.receivedAt('/smuggled'), []);
  });

  it('a request to one container cannot end in another: the engine connection is never left half used', async () => {
    await warmUp(under());
    const connection = await under().connect();
    await connection.request({
      method: 'PUT',
      path: `/containers/${ttyContainer.id}/archive?path=/`,
      headers: { ...under().signer.headers(), ...mark, 'Content-Length': '500' },
    });
    const beginning = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
    await connection.send(beginning);
    await eventually(() => equal(under().forwarded()[0]?.bodyBytes, beginning.length));
    await connection[Symbol.asyncDispose]();
    await assertStillWorks(under());
    deepEqual(
      under()
        .engine.receivedAt('/smuggled')
        .map(({ target }) => target),
      [],
    );
    await eventually(() => equal(under().forwarded()[0]?.outcome, 'body-cut'));
  });
});
