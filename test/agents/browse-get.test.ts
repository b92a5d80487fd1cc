// Files that cannot be read, or not to their end: an answer of their own, or a cut that the log explains.

import { deepEqual, equal, fail, ok, rejects } from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { browseClient, createVolume } from '../support/browse.ts';
import { assertErrorBody, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';

const mebibyte = 1024 * 1024;

describe('files that break while they are read', () => {
  const under = useAgent();

  it('are an error without the headers of a file, where nothing of them was sent', async () => {
    const hostRoot = '/proc';
    await using host = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
    // A regular file whose first page nobody has: reading it fails.
    const answer = await browseClient(host, '').get('/host/self/mem');
    assertErrorBody(answer, 500, {
      message: 'Unable to open file',
      details: 'Read a file: the disk failed to read or write',
    });
    const ofFiles = ['accept-ranges', 'content-range', 'content-security-policy', 'etag', 'last-modified'];
    deepEqual(
      ofFiles.filter((name) => answer.headers.has(name)),
      [],
    );
  });

  it('are cut where they become shorter, with a line in the log', async function () {
    this.timeout(30_000);
    await using volume = await createVolume(under());
    const file = join(volume.data, 'file.bin');
    await writeFile(file, '');
    await truncate(file, 512 * mebibyte);
    await using connection = await under().connect();
    await connection.request({
      path: '/v2/browse/get?volumeID=vol&path=/file.bin',
      headers: under().signer.headers(),
    });
    const head = await connection.head();
    equal(head.status, 200);
    equal(head.headers.get('content-length'), String(512 * mebibyte));
    await truncate(file, 1);
    let bytes = 0;
    await rejects(async () => {
      for await (const piece of connection.body(head)) bytes += piece.length;
    });
    ok(bytes < 512 * mebibyte);
    const line = await eventually(() => {
      const found = under()
        .agent.logLines()
        .find(({ msg }) => msg === 'browse cut');
      return found ?? fail('the log does not say so');
    });
    deepEqual(
      [line.level, line.reason, line.error],
      ['warn', 'unavailable', 'read a file: it became shorter meanwhile'],
    );
  });
});
