// Browsing on the node that the target names, through another agent: the same answers, of any size, in v2 and v1 (Q7).

import { deepEqual, equal, ok } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cutPoint, mebibyte, sendCut, uploadSampled } from '../support/broken-upload.ts';
import { browseClient, createVolume, uploadForm } from '../support/browse.ts';
import { assertAgentHeaders, assertErrorBody } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { seeded } from '../support/random-json.ts';
import { encodeRequest } from '../support/raw-http.ts';
import { scaled } from '../support/scale.ts';
import { startTestCluster, type TestCluster } from '../support/test-cluster.ts';

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

for (const secret of [undefined, 'a secret of the cluster']) {
  describe(`browse on another node ${secret === undefined ? 'without' : 'with'} a cluster secret`, () => {
    let cluster: TestCluster;
    before(async function () {
      this.timeout(40_000);
      cluster = await startTestCluster({
        names: ['node1', 'node2'],
        ...(secret !== undefined && { secret }),
      });
    });
    after(async function () {
      this.timeout(40_000);
      await cluster[Symbol.asyncDispose]();
    });

    it('reads and writes there, and not here', async function () {
      this.timeout(30_000);
      const [entry, other] = [cluster.member('node1'), cluster.member('node2')];
      await using here = await createVolume(entry);
      await using there = await createVolume(other);
      const client = browseClient(entry, there.name, 'node2');
      const content = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => at % 253));
      equal((await client.put('/deep', 'x', content)).status, 204);
      equal(digest(await readFile(join(there.data, 'deep/x'))), digest(content));
      deepEqual(await readdir(here.data), []);
      const part = await client.get('/deep/x', { Range: 'bytes=1000000-1999999' });
      equal(part.status, 206);
      equal(digest(part.body), digest(content.subarray(1_000_000, 2_000_000)));
      assertAgentHeaders(part);
      equal((await client.rename('/deep/x', '/y%?#')).status, 204);
      equal((await client.remove('/deep')).status, 204);
      deepEqual(
        (await client.entries('/')).map(({ Name }) => Name),
        ['y%?#'],
      );
      await symlink('/etc', join(there.data, 'out'));
      const refused = await client.ls('/out');
      assertErrorBody(refused, 400, { message: 'Invalid volume', details: 'A link leads out of the volume' });
      assertAgentHeaders(refused);
    });

    it('serves v1 there', async () => {
      const [entry, other] = [cluster.member('node1'), cluster.member('node2')];
      await using there = await createVolume(other, 'my.vol-1');
      await writeFile(join(there.data, 'a'), 'content');
      const headers = { 'X-PortainerAgent-Target': 'node2' };
      const answer = await entry.request({ path: '/v1/browse/my.vol-1/get?path=a', headers });
      deepEqual([answer.status, answer.body.toString()], [200, 'content']);
      const odd = await entry.request({ path: '/v1/browse/%3F%23/ls', headers });
      assertErrorBody(odd, 400, {
        message: 'Invalid query parameter: path',
        details: 'Invalid volume name. Only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
      });
    });

    it('leaves nothing there when the client leaves within an upload', async () => {
      const [entry, other] = [cluster.member('node1'), cluster.member('node2')];
      await using there = await createVolume(other);
      const { body, type } = uploadForm('/', 'x', Buffer.alloc(500_000, 'x'));
      await using connection = await entry.connect();
      const headers = {
        ...entry.signer.headers(),
        'X-PortainerAgent-Target': 'node2',
        'Content-Type': type,
        'Content-Length': String(body.length),
      };
      await connection.request({ method: 'POST', path: '/v2/browse/put?volumeID=vol', headers });
      await connection.send(body.subarray(0, 300_000));
      await eventually(async () => equal((await readdir(there.data)).length, 1, 'it has begun'));
      await connection[Symbol.asyncDispose]();
      await eventually(async () => deepEqual(await readdir(there.data), []));
    });

    it(`leaves the old file there or the new one, cut at ${scaled(20, 300)} random points`, async function () {
      this.timeout(scaled(60_000, 600_000));
      const [entry, other] = [cluster.member('node1'), cluster.member('node2')];
      await using there = await createVolume(other);
      const random = seeded(scaled(18, Date.now() % 1_000_000));
      const file = join(there.data, 'file');
      const [old, fresh] = [Buffer.alloc(300_000, 'old '), Buffer.alloc(200_000, 'new ')];
      const { body, type } = uploadForm('/', 'file', fresh);
      const headers = { ...entry.signer.headers(), 'X-PortainerAgent-Target': 'node2', 'Content-Type': type };
      const request = { method: 'POST', path: `/v2/browse/put?volumeID=${there.name}`, headers, body };
      const bytes = encodeRequest(request, 'agent');
      let replaced = 0;
      for (let count = 0; count < scaled(20, 300); count += 1) {
        await writeFile(file, old);
        await sendCut(entry, bytes.subarray(0, cutPoint(random, bytes.length)), random);
        // The other agent sees the cut later than we make it.
        await eventually(async () => deepEqual(await readdir(there.data), ['file']));
        const content = await readFile(file);
        ok(content.equals(old) || content.equals(fresh), `a mixture after ${count} cuts`);
        if (content.equals(fresh)) replaced += 1;
      }
      ok(replaced < scaled(20, 300) / 2, 'most uploads were cut before their end');
      await writeFile(file, old);
      equal((await entry.request(request)).status, 204);
      deepEqual(await readFile(file), fresh);
    });

    it('passes a large upload on while it comes, in flat memory of both agents', async function () {
      this.timeout(scaled(60_000, 900_000));
      const [entry, other] = [cluster.member('node1'), cluster.member('node2')];
      await using there = await createVolume(other);
      const total = scaled(128 * mebibyte, 5 * 1024 * mebibyte);
      const highest = await uploadSampled(entry, [entry, other], { total, target: 'node2' });
      for (const grown of highest) ok(grown < 96 * mebibyte, `memory grew by ${grown / mebibyte} MiB`);
      equal((await stat(join(there.data, 'large'))).size, total);
    });

    it('says that a node is not there', async () => {
      const answer = await browseClient(cluster.member('node1'), 'vol', 'node9').ls('/');
      assertErrorBody(answer, 500, {
        message: 'The agent was unable to contact any other agent',
        details: 'Unable to find the targeted agent',
      });
    });
  });
}
