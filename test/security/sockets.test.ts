// Attacks on the Docker sockets: names that would leave their folder, links and files in their place, and requests that
// try to get past the gate of the cluster socket.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mark, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { exchangeRaw, type RawAddress, requestRaw } from '../support/raw-http.ts';

describe('attacks on the cluster socket', () => {
  const under = useAgent();
  const address = (): RawAddress => ({ kind: 'unix', path: join(under().agent.socketDir, 'docker.sock') });

  beforeEach(async () => {
    await eventually(() => lstat(join(under().agent.socketDir, 'docker.sock')));
    under().engine.forget();
  });

  for (const path of [
    '/_flotilla/association',
    '/v1.41/_flotilla/health',
    '/containers/..%2f..%2f_flotilla/health',
    '/%5fflotilla/health',
    '/containers/%2e%2e/_flotilla/health',
    '/./_flotilla/health',
    '//_flotilla/health',
    '/v1.41/v1.41/info',
    'http://engine/info',
    '*',
  ]) {
    it(`${path} reaches no engine and no agent`, async () => {
      for (const method of ['GET', 'POST']) {
        const lines = Object.entries(mark).map(([name, value]) => `${name}: ${value}\r\n`);
        const head = `${method} ${path} HTTP/1.1\r\nHost: docker\r\n${lines.join('')}Content-Length: 0\r\n`;
        const text = await exchangeRaw(address(), `${head}Connection: close\r\n\r\n`);
        match(text, /^HTTP\/1\.1 (?:400|404|301) /);
      }
      deepEqual(under().forwarded(), []);
    });
  }

  it('a second request behind a hijack that was refused is never read', async () => {
    const attach =
      'POST /containers/web/attach HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    const text = await exchangeRaw(
      address(),
      `${attach}GET /info HTTP/1.1\r\nHost: d\r\nX-Client-Mark: 1\r\n\r\n`,
    );
    equal(text.match(/HTTP\/1\.1 /g)?.length, 1);
    deepEqual(under().forwarded(), []);
  });
});

describe('attacks on the files of the Docker sockets', () => {
  for (const name of ['../escaped', `${'n'.repeat(250)}`, '.hidden', 'a b']) {
    it(`a node that calls itself ${JSON.stringify(name.slice(0, 12))} is reached by its id`, async () => {
      await using under = await startAgentUnderTest({ engine: { name } });
      const { socketDir } = under.agent;
      const [file = '', ...more] = await eventually(async () => {
        // One that is being made has a name of its own until it listens.
        const files = (await readdir(join(socketDir, 'nodes'))).filter((each) => each.endsWith('.sock'));
        ok(files.length > 0);
        return files;
      });
      deepEqual([more, file.includes(name)], [[], false]);
      const { status } = await requestRaw(
        { kind: 'unix', path: join(socketDir, 'nodes', file) },
        { path: '/_ping' },
      );
      equal(status, 200);
      equal((await readdir(join(socketDir, '..'))).includes('escaped.sock'), false);
    }).timeout(20_000);
  }

  it('a link in the place of a socket or of their folder is left alone, and the agent serves on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'links-'));
    try {
      await mkdir(join(folder, 'sockets'), { mode: 0o755 });
      await symlink('/etc/passwd', join(folder, 'sockets', 'docker.sock'));
      await symlink(join(folder, 'sockets'), join(folder, 'link'));
      for (const dir of ['sockets', 'link']) {
        const env = { FLOTILLA_SOCKET_DIR: join(folder, dir) };
        await using under = await startAgentUnderTest({ env });
        const reason = dir === 'link' ? /it is no folder/ : /something is there that is no socket/;
        await eventually(() => match(under.agent.logText(), reason));
        equal((await under.request({ path: '/_ping' })).status, 200);
      }
      ok((await lstat(join(folder, 'sockets', 'docker.sock'))).isSymbolicLink());
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }).timeout(30_000);
});
