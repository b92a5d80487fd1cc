// Answers that no agent gives: a question to another agent always ends.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { memberOf } from '../../test/support/fake-peer.ts';
import { dial } from '../../test/support/tunnel-bed.ts';
import { postToPeer } from './peer-client.ts';

const answers: readonly (readonly [string, string])[] = [
  ['switches protocols', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'],
  ['breaks off within its answer', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
  ['says that more will come, and leaves', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ['refuses', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'],
  ['sends more than an agent may', `HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n${'x'.repeat(99_999)}`],
];

describe('question to another agent', () => {
  for (const [what, answer] of answers) {
    it(`ends when the other one ${what}`, async () => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', () => socket.end(answer));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const member = memberOf({ nodeName: 'node2', address: '127.0.0.1', peerPort: port });
      const asked = postToPeer(() => dial(port), member, '/x', 'body', AbortSignal.timeout(5_000));
      await assert.rejects(asked, { name: 'AgentError' });
      server.close();
      await once(server, 'close');
    });
  }
});
