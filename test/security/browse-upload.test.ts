// Uploads that break: under the name there is the old file or the new one, never a mixture, and no temporary file stays.

import { deepEqual, equal, ok } from 'node:assert/strict';
import {
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutPoint, mebibyte, sendCut, uploadSampled } from '../support/broken-upload.ts';
import { browseClient, createVolume, uploadForm, uploadHead, uploadTail } from '../support/browse.ts';
import { type AgentUnderTest, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { seeded } from '../support/random-json.ts';
import { encodeRequest, type RawConnection } from '../support/raw-http.ts';
import { isLong, scaled } from '../support/scale.ts';

describe('uploads that break', () => {
  const under = useAgent();

  it(`keep the old file or are the new one, cut at ${scaled(100, 500)} random points`, async function () {
    this.timeout(scaled(60_000, 300_000));
    const random = seeded(scaled(7, Date.now() % 1_000_000));
    await using volume = await createVolume(under());
    const file = join(volume.data, 'file');
    const [old, fresh] = [Buffer.alloc(300_000, 'old '), Buffer.alloc(200_000, 'new ')];
    const { body, type } = uploadForm('/', 'file', fresh);
    const headers = { ...under().signer.headers(), 'Content-Type': type };
    const request = { method: 'POST', path: `/v2/browse/put?volumeID=${volume.name}`, headers, body };
    const bytes = encodeRequest(request, 'agent');
    let replaced = 0;
    for (let count = 0; count < scaled(100, 500); count += 1) {
      await writeFile(file, old);
      await sendCut(under(), bytes.subarray(0, cutPoint(random, bytes.length)), random);
      // The agent sees the cut later than we make it.
      await eventually(async () => deepEqual(await readdir(volume.data), ['file']));
      const content = await readFile(file);
      ok(content.equals(old) || content.equals(fresh), `a mixture after ${count} cuts`);
      if (content.equals(fresh)) replaced += 1;
    }
    ok(replaced < scaled(100, 500) / 2, 'most uploads were cut before their end');
    await writeFile(file, old);
    equal((await under().request(request)).status, 204);
    deepEqual(await readFile(file), fresh);
  });

  it('show nobody else what has arrived, in a volume or on the host', async function () {
    this.timeout(30_000);
    const hostRoot = await mkdtemp(join(tmpdir(), 'host-'));
    try {
      const spool = join(hostRoot, 'var/tmp');
      await mkdir(spool, { recursive: true });
      await using host = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
      await using volume = await createVolume(host);
      for (const [query, folder] of [
        ['volumeID=vol', volume.data],
        ['', spool],
      ] as const) {
        await using _upload = await beginUpload(host, query);
        const [name = ''] = await eventually(async () => {
          const names = await readdir(folder);
          equal(names.length, 1, 'it has begun');
          return names;
        });
        await eventually(async () => ok((await stat(join(folder, name))).size > 0));
        equal((await stat(join(folder, name))).mode & 0o777, 0o600);
      }
    } finally {
      await rm(hostRoot, { recursive: true, force: true });
    }
  });

  it('leave nothing as soon as they have failed, though the client still sends what is then dropped', async () => {
    await using volume = await createVolume(under());
    const headers = { Connection: 'close' };
    const tail = uploadTail('x'.repeat(100_000));
    await using upload = await beginUpload(under(), 'volumeID=vol', {
      headers,
      more: tail.length + mebibyte,
    });
    await eventually(async () => equal((await readdir(volume.data)).length, 1, 'it has begun'));
    // Longer than a path may be.
    await upload.send(tail);
    await eventually(async () => deepEqual(await readdir(volume.data), []));
    await upload.send(Buffer.alloc(mebibyte));
    equal((await upload.answer()).status, 400);
  });

  it('do not take room for ever when the agent was killed within one', async function () {
    this.timeout(60_000);
    const name = (digit: string): string => `.flotilla-upload-${digit.repeat(16)}`;
    const hostRoot = await mkdtemp(join(tmpdir(), 'host-'));
    try {
      const spool = join(hostRoot, 'var/tmp');
      await mkdir(spool, { recursive: true });
      const env = { FLOTILLA_HOST_ROOT: hostRoot };
      await using agent = await startAgentUnderTest({ env });
      await using volume = await createVolume(agent);
      const secret = join(volume.folder, 'outside');
      await writeFile(secret, 'outside');
      const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
      const places = [
        ['volumeID=vol', volume.data],
        ['', spool],
      ] as const;
      for (const [query, folder] of places) {
        await beginUpload(agent, query);
        await eventually(async () => equal((await readdir(folder)).length, 1, 'it has begun'));
      }
      agent.agent.signal('SIGKILL');
      await eventually(() => !agent.agent.running());
      for (const [, folder] of places) {
        const [left = ''] = await readdir(folder);
        await symlink(secret, join(folder, name('a')));
        await mkdir(join(folder, name('b')));
        await writeFile(join(folder, '.flotilla-upload-notes'), 'of somebody');
        for (const old of [left, name('a'), name('b'), '.flotilla-upload-notes'])
          await lutimes(join(folder, old), hoursAgo, hoursAgo);
        await writeFile(join(folder, name('c')), 'still on its way');
      }
      await utimes(secret, hoursAgo, hoursAgo);
      await using next = await startAgentUnderTest({ env });
      next.engine.state.volumes = agent.engine.state.volumes;
      equal((await browseClient(next, 'vol').put('/', 'new', 'x')).status, 204);
      equal((await browseClient(next, '').put('/host/var/tmp', 'new', 'x')).status, 204);
      const stays = [name('a'), name('b'), name('c'), '.flotilla-upload-notes', 'new'];
      for (const [, folder] of places) deepEqual((await readdir(folder)).toSorted(), stays);
      equal(await readFile(secret, 'utf8'), 'outside');
    } finally {
      await rm(hostRoot, { recursive: true, force: true });
    }
  });

  it('is stored while the form still comes, in flat memory', async function () {
    this.timeout(scaled(60_000, 900_000));
    await using volume = await createVolume(under());
    const total = scaled(192 * mebibyte, 5 * 1024 * mebibyte);
    const [grown = 0] = await uploadSampled(under(), [under()], { total });
    ok(grown < 96 * mebibyte, `memory grew by ${grown / mebibyte} MiB`);
    const { size } = await stat(join(volume.data, 'large'));
    equal(size, total);
    equal(isLong ? total > 2 ** 32 : total > 96 * mebibyte, true, 'more than the memory that it may take');
  });
});

/** Sends the beginning of an upload, some of its content included; `more` bytes are announced behind it. */
async function beginUpload(
  under: AgentUnderTest,
  query: string,
  { headers = {}, more = mebibyte }: { headers?: Readonly<Record<string, string>>; more?: number } = {},
): Promise<RawConnection> {
  const connection = await under.connect();
  const begun = Buffer.concat([uploadHead('x'), Buffer.alloc(200_000, 'private')]);
  await connection.request({
    method: 'POST',
    path: `/v2/browse/put?${query}`,
    headers: {
      ...under.signer.headers(),
      'Content-Type': uploadForm('/', 'x', '').type,
      'Content-Length': String(begun.length + more),
      ...headers,
    },
  });
  await connection.send(begun);
  return connection;
}
