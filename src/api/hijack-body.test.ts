// Which bodies a hijacking request may bring, as a table.

import { deepEqual, equal, throws } from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import type { Exchange } from '../exchange.ts';
import { admitHijack } from './hijack-body.ts';

function hijack(headers: IncomingMessage['headers'], head: string): Exchange {
  return {
    kind: 'upgrade',
    req: { headers } as IncomingMessage,
    socket: new PassThrough(),
    head: Buffer.from(head),
  };
}

function headOf(exchange: Exchange): string | undefined {
  return exchange.kind === 'upgrade' ? exchange.head.toString() : undefined;
}

const upgrade = 'h2c';

describe('the body of a hijacking request', () => {
  it('may be of a length, or not there, and is left alone', () => {
    for (const exchange of [hijack({ 'content-length': '2' }, '{}input'), hijack({ upgrade }, 'input')])
      equal(admitHijack(exchange), exchange);
  });

  it('may be chunked and empty, and is then no input', () => {
    for (const coding of ['chunked', 'Chunked']) {
      const headers = { upgrade, 'transfer-encoding': coding };
      equal(headOf(admitHijack(hijack(headers, '0\r\n\r\n'))), '');
      equal(headOf(admitHijack(hijack(headers, '0\r\n\r\n0\r\n\r\ninput'))), '0\r\n\r\ninput');
    }
  });

  it('is refused where its end would have to be searched for', () => {
    for (const [headers, head] of [
      [{ upgrade, 'transfer-encoding': 'chunked' }, ''],
      [{ upgrade, 'transfer-encoding': 'chunked' }, '0\r\n'],
      [{ upgrade, 'transfer-encoding': 'chunked' }, '0\r\nTrailer: 1\r\n\r\n'],
      [{ upgrade, 'transfer-encoding': 'chunked' }, '2\r\n{}\r\n0\r\n\r\n'],
      [{ upgrade, 'transfer-encoding': 'gzip, chunked' }, '0\r\n\r\n'],
      [{ 'transfer-encoding': 'chunked' }, '0\r\n\r\n'],
    ] as const)
      throws(() => admitHijack(hijack(headers, head)), { code: 'request-invalid' });
  });

  it('of an ordinary request is not looked at', () => {
    const exchange = { kind: 'request', req: {}, res: {} } as unknown as Exchange;
    deepEqual(admitHijack(exchange), exchange);
  });
});
