// Whether an engine hangs, asked of a real server on a unix socket: one that answers, one that does not, and none.

import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';

import { createHangCheck } from './engine-hang.ts';
import { createEngineTransport, type EngineTransport } from './engine-transport.ts';

const never = new AbortController().signal;

describe('engine hang', () => {
  let folder: string;
  let server: Server;
  let engine: EngineTransport;
  let answers: boolean;

  beforeEach(async () => {
    answers = true;
    folder = mkdtempSync(join(tmpdir(), 'flotilla-hang-'));
    server = createServer((_req, res) => {
      if (answers) res.end('OK');
    });
    server.listen(join(folder, 'docker.sock'));
    await once(server, 'listening');
    engine = createEngineTransport({ socketPath: join(folder, 'docker.sock') });
  });

  afterEach(async () => {
    await engine.close();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });

  it('is neither an engine that answers nor one that is gone', async () => {
    const hangs = createHangCheck(engine);
    equal(await hangs(never), false);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    equal(await hangs(never), false);
  });

  it('is an engine that takes a request and stays silent', async () => {
    answers = false;
    equal(await createHangCheck(engine, 50)(never), true);
  });

  it('is not looked into any further when nobody waits for the answer', async () => {
    answers = false;
    equal(await createHangCheck(engine)(AbortSignal.timeout(20)), false);
  });
});
