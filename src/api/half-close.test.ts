// A client that closes its side behind its request, on a real unix socket.

import { equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../test/support/eventually.ts';
import { connectRaw, type RawConnection } from '../../test/support/raw-http.ts';
import { answerHalfClosed } from './half-close.ts';

const request = 'GET / HTTP/1.1\r\nHost: docker\r\n\r\n';

describe('a half-closed connection', () => {
  let folder: string;
  let server: Server;
  let onRequest: RequestListener;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'half-close-'));
    server = createServer((req, res) => onRequest(req, res));
    answerHalfClosed(server, 100);
    server.listen(join(folder, 's'));
    await once(server, 'listening');
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  async function sendAndClose(text: string): Promise<RawConnection> {
    const connection = await connectRaw({ kind: 'unix', path: join(folder, 's') });
    await connection.send(text);
    connection.halfClose();
    return connection;
  }

  it('is answered, and ended behind the answer', async () => {
    onRequest = (req, res) => void req.socket.once('end', () => setImmediate(() => res.end('late')));
    await using connection = await sendAndClose(request);
    match((await connection.rest()).toString(), /^HTTP\/1\.1 200 [\s\S]*late$/);
  });

  it('is ended when the answer does not come, and whoever works on it is told', async () => {
    let left = false;
    onRequest = (_req, res) => void res.once('close', () => (left = !res.writableFinished));
    await using connection = await sendAndClose(request);
    equal((await connection.rest()).length, 0);
    await eventually(() => left);
  });

  it('goes on for as long as it likes once it was hijacked', async () => {
    let ended = false;
    server.on('upgrade', (_req, socket) => {
      socket.resume();
      // Longer than the others are waited for.
      socket.once('end', () => setTimeout(() => socket.end('output'), 250));
      socket.once('close', () => (ended = true));
    });
    await using connection = await sendAndClose(
      'POST / HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
    );
    equal((await connection.rest()).toString(), 'output');
    await eventually(() => ended);
  });
});
