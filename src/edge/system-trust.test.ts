// Trust in the system's CAs, seen in a process of its own: Node reads where they are at its start.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { promisify } from 'node:util';
import { startEdgeServer } from '../../test/support/edge-server/edge-server.ts';
import { createServerTestCertificate } from '../../test/support/identity.ts';

const run = promisify(execFile);
const at = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);

const poll = (url: string): string => `
  import { createPortainerClient } from ${at('portainer-client.ts')};
  const proxies = { http: undefined, https: undefined, except: undefined };
  const client = createPortainerClient({ baseUrl: ${JSON.stringify(url)}, edgeId: 'x', insecure: false, mtls: undefined, proxies });
  const headers = { 'Portainer-Agent-Platform': '1' };
  const request = { method: 'GET', path: '/api/endpoints/7/edge/status', headers };
  const { status } = await client.send(request, new AbortController().signal);
  await client.close();
  console.log(status);
`;

const dial = (port: number): string => `
  import { dialServer } from ${at('tunnel/dial.ts')};
  const address = { transport: 'chisel', host: '127.0.0.1', port: ${port}, tls: true };
  const socket = await dialServer(address, { proxy: undefined, timeoutMs: 5_000 }, new AbortController().signal);
  socket.destroy();
  console.log('dialled');
`;

describe("trust in the system's CAs", () => {
  let folder: string;
  let certificate: { readonly cert: string; readonly key: string };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'system-trust-'));
    certificate = await createServerTestCertificate('127.0.0.1');
    await writeFile(join(folder, 'ca.pem'), certificate.cert);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const runScript = async (script: string, file: string | undefined): Promise<string> => {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
      env: file === undefined ? {} : { SSL_CERT_FILE: join(folder, file) },
    });
    return stdout.trim();
  };

  it('holds for polls', async () => {
    await using server = await startEdgeServer({ tls: certificate });
    assert.equal(await runScript(poll(server.url), 'ca.pem'), '200');
    await assert.rejects(runScript(poll(server.url), undefined), /self-signed certificate/);
  });

  it('holds for the tunnel', async () => {
    const server = createServer(certificate, (socket) => void socket.on('error', () => undefined));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      assert.equal(await runScript(dial(port), 'ca.pem'), 'dialled');
      await assert.rejects(runScript(dial(port), undefined), /self-signed certificate/);
    } finally {
      server.close();
      await once(server, 'close');
    }
  });
});
