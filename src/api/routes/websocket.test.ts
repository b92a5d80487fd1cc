// How many consoles one node opens, and that each place is given back.

import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { eventually } from '../../../test/support/eventually.ts';
import { AgentError } from '../../errors.ts';
import type { Exchange } from '../../exchange.ts';
import { silentLogger } from '../../log.ts';
import { type ConsolesNeeds, createConsoles, maxConsoles } from './websocket.ts';

const unused = (): never => assert.fail('not asked for');

describe('consoles', () => {
  it(`opens ${maxConsoles} at once, refuses the next, and opens again when one has left`, async () => {
    const failures: AgentError[] = [];
    let asked = 0;
    const needs: ConsolesNeeds = {
      view: unused,
      peer: unused,
      findOwner: unused,
      // An engine that takes its time; it is given up with its client.
      hijack: (_request, { signal }) =>
        new Promise((_resolve, reject) => {
          asked += 1;
          signal.addEventListener('abort', () => reject(new AgentError('cancelled', 'left')), { once: true });
        }),
      fail: (_exchange, error) => void failures.push(error),
      log: silentLogger,
    };
    const consoles = createConsoles(needs, { clustered: () => false, answerHeaders: [] });
    const ends: Duplex[] = [];
    const serve = (): void => {
      const { exchange, socket } = upgrade();
      ends.push(socket);
      consoles.serveHere(exchange, { path: '/websocket/exec', query: '?id=ab' });
    };
    for (let opened = 0; opened < maxConsoles; opened += 1) serve();
    await eventually(() => assert.equal(asked, maxConsoles));
    serve();
    await eventually(() =>
      assert.deepEqual(
        failures.map(({ code }) => code),
        ['limit-exceeded'],
      ),
    );
    ends[0]?.destroy();
    await eventually(() => {
      serve();
      assert.equal(asked, maxConsoles + 1);
    });
    for (const end of ends) end.destroy();
  });
});

function upgrade(): { readonly exchange: Exchange; readonly socket: Duplex } {
  const req = new IncomingMessage(new Socket());
  Object.assign(req.headers, {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  });
  const [socket] = duplexPair();
  return { exchange: { kind: 'upgrade', req, socket, head: Buffer.alloc(0) }, socket };
}
