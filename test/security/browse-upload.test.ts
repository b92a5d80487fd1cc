// Uploads that break: under the name there is the old file or the new one, never a mixture, and no temporary file stays.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createVolume, uploadForm, uploadHead, uploadTail } from '../support/browse.ts';
import { type AgentUnderTest, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { pick, type Random, seeded } from '../support/random-json.ts';
import { encodeRequest, type RawConnection } from '../support/raw-http.ts';
import { isLong, scaled } from '../support/scale.ts';

const mebibyte = 1024 * 1024;

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

  it('is stored while the form still comes, in flat memory', async function () {
    this.timeout(scaled(60_000, 900_000));
    await using volume = await createVolume(under());
    const total = scaled(192 * mebibyte, 5 * 1024 * mebibyte);
    const piece = Buffer.alloc(mebibyte, 'x');
    const [head, tail] = [uploadHead('large'), uploadTail('/')];
    const before = await under().agent.residentBytes();
    let highest = before;
    await using connection = await under().connect();
    const headers = {
      ...under().signer.headers(),
      'Content-Type': uploadForm('/', 'large', '').type,
      'Content-Length': String(head.length + total + tail.length),
    };
    await connection.request({ method: 'POST', path: '/v2/browse/put?volumeID=vol', headers });
    await connection.send(head);
    for (let sent = 0; sent < total; sent += piece.length) {
      await connection.send(piece);
      if (sent % (16 * mebibyte) === 0) highest = Math.max(highest, await under().agent.residentBytes());
    }
    await connection.send(tail);
    const answered = await connection.head(scaled(30_000, 300_000));
    equal(answered.status, 204);
    ok(highest - before < 96 * mebibyte, `memory grew by ${(highest - before) / mebibyte} MiB`);
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

/** Anywhere, and often near what matters: the heads and the end. */
function cutPoint(random: Random, length: number): number {
  const kind = random();
  if (kind < 0.6) return 1 + pick(random, length - 1);
  return kind < 0.8 ? Math.min(length, 400 + pick(random, 400)) : length - pick(random, 120);
}

/** Cuts the connection, or ends only our side of it. */
async function sendCut(under: AgentUnderTest, bytes: Buffer, random: Random): Promise<void> {
  await using connection = await under.connect();
  await connection.send(bytes);
  if (random() < 0.7) return;
  connection.halfClose();
  await connection.rest();
}
