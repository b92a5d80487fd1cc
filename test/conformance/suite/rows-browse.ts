// Rows B1 to B8: files of volumes and of the host, host facts, and Docker Hub.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { RawAnswer } from '../../support/raw-http.ts';
import { requestRaw } from '../../support/raw-http.ts';
import { createSigner } from '../../support/signer.ts';
import { type Bench, type Box, type HubAnswer, type Item, messageOf, steer } from './bench.ts';
import type { Row } from './row.ts';
import { uploadForm } from './upload-form.ts';

export const browseRows: readonly Row[] = [
  {
    id: 'B1',
    what: 'ls: fields and types, sorted; an empty directory is []; a missing path and `..` are 400',
    async run(bench) {
      await inEachVolume(bench, async (box) => {
        await bench.runIn(box, [
          'sh',
          '-c',
          'mkdir -p /v/ls/empty /v/ls/dir; printf 12345 >/v/ls/file; ln -s dir /v/ls/link',
        ]);
        const listed = await browse(bench, box, 'GET', 'ls', { path: '/ls' });
        const items = JSON.parse(listed.body.toString()) as readonly Item[];
        deepEqual(
          items.map(({ Name, Dir }) => [Name, Dir]),
          [
            ['dir', true],
            ['empty', true],
            ['file', false],
            ['link', false],
          ],
        );
        const file = items.find(({ Name }) => Name === 'file');
        deepEqual(Object.keys(file ?? {}).toSorted(), ['Dir', 'ModTime', 'Name', 'Size']);
        equal(file?.Size, 5);
        ok(Math.abs(Number(file?.ModTime) - Date.now() / 1_000) < 86_400);
        equal((await browse(bench, box, 'GET', 'ls', { path: 'ls/empty' })).body.toString().trim(), '[]');
        const missing = await browse(bench, box, 'GET', 'ls', {});
        deepEqual([missing.status, messageOf(missing)], [400, 'Invalid query parameter: path']);
        for (const path of ['..', '/ls/../..', 'ls\\..\\..'])
          equal((await browse(bench, box, 'GET', 'ls', { path })).status, 400, path);
        const gone = await browse(bench, box, 'GET', 'ls', { path: '/nothing' });
        deepEqual([gone.status, messageOf(gone)], [500, 'Unable to list files inside specified directory']);
      });
    },
  },
  {
    id: 'B2',
    what: 'get: byte for byte, with ranges and conditional requests',
    async run(bench) {
      await inEachVolume(bench, async (box) => {
        const content = randomBytes(300_000);
        await upload(bench, box, 'get', 'file.bin', content);
        const whole = await browse(bench, box, 'GET', 'get', { path: '/get/file.bin' });
        equal(whole.status, 200);
        ok(whole.body.equals(content));
        equal(whole.headers.get('accept-ranges'), 'bytes');
        ok(whole.headers.has('last-modified'));
        const get = (headers: Readonly<Record<string, string>>): Promise<RawAnswer> =>
          browse(bench, box, 'GET', 'get', { path: '/get/file.bin' }, headers);
        const range = { Range: 'bytes=100-199' };
        const part = await get(range);
        equal(part.status, 206);
        ok(part.body.equals(content.subarray(100, 200)));
        equal(part.headers.get('content-range'), 'bytes 100-199/300000');
        equal((await get({ Range: 'bytes=300000-' })).status, 416);
        const changed = whole.headers.get('last-modified') ?? '';
        const before = new Date(Date.parse(changed) - 60_000).toUTCString();
        for (const [headers, status, bytes] of [
          [{ 'If-Modified-Since': changed }, 304, 0],
          [{ 'If-Modified-Since': before }, 200, content.length],
          [{ 'If-Unmodified-Since': changed }, 200, content.length],
          [{ 'If-Unmodified-Since': before }, 412, undefined],
          [{ ...range, 'If-Range': changed }, 206, 100],
          [{ ...range, 'If-Range': before }, 200, content.length],
        ] as const) {
          const answer = await get(headers);
          equal(answer.status, status, JSON.stringify(headers));
          if (bytes !== undefined) equal(answer.body.length, bytes, JSON.stringify(headers));
        }
        const gone = await browse(bench, box, 'GET', 'get', { path: '/get/nothing' });
        deepEqual([gone.status, messageOf(gone)], [500, 'Unable to open file']);
      });
    },
  },
  {
    id: 'B3',
    what: 'put: `file` before `Path`; directories in the file name are dropped',
    async run(bench) {
      await inEachVolume(bench, async (box) => {
        equal(
          (await upload(bench, box, '/put/deep', '../../outside.txt', Buffer.from('inside'))).status,
          204,
        );
        equal((await content(bench, box, '/put/deep/outside.txt')).toString(), 'inside');
      });
    },
  },
  {
    id: 'B3+',
    what: 'put: a shorter file leaves nothing of the longer one',
    insteadOf: 'its end stays',
    async run(bench) {
      await inEachVolume(bench, async (box) => {
        await upload(bench, box, '/put', 'file.txt', Buffer.from('a long text'));
        await upload(bench, box, '/put', 'file.txt', Buffer.from('short'));
        equal((await content(bench, box, '/put/file.txt')).toString(), 'short');
      });
    },
  },
  {
    id: 'B4',
    what: 'rename and delete: 204; a directory that is not empty: 500',
    async run(bench) {
      await inEachVolume(bench, async (box) => {
        await upload(bench, box, '/change', 'old', Buffer.from('text'));
        const body = JSON.stringify({ CurrentFilePath: '/change/old', NewFilePath: '/change/new' });
        const json = { 'Content-Type': 'application/json' };
        equal((await browse(bench, box, 'PUT', 'rename', {}, json, body)).status, 204);
        equal((await content(bench, box, '/change/new')).toString(), 'text');
        const full = await browse(bench, box, 'DELETE', 'delete', { path: '/change' });
        deepEqual([full.status, messageOf(full)], [500, 'Unable to remove file']);
        for (const path of ['/change/new', '/change'])
          equal((await browse(bench, box, 'DELETE', 'delete', { path })).status, 204);
        const bad = await browse(bench, box, 'PUT', 'rename', {}, json, '{"CurrentFilePath":""}');
        deepEqual([bad.status, messageOf(bad)], [400, 'Invalid request payload']);
      });
    },
  },
  {
    id: 'B5',
    what: 'a volumeID with `/` or `..`, and links that lead out, are refused',
    insteadOf: 'both lead to any file of the host',
    async run(bench) {
      await inEachVolume(bench, async (box) => {
        await bench.runIn(box, [
          'sh',
          '-c',
          'ln -sfn / /v/out; ln -sfn /etc/passwd /v/secret; ln -sfn ../.. /v/up',
        ]);
        equal((await browse(bench, box, 'GET', 'ls', { path: '/' })).status, 200);
        for (const [action, path] of [
          ['ls', '/out'],
          ['ls', '/out/etc'],
          ['ls', '/up'],
          ['get', '/secret'],
          ['get', '/out/etc/hostname'],
        ] as const) {
          const answer = await browse(bench, box, 'GET', action, { path });
          ok(answer.status >= 400, `${path}: ${answer.status}`);
        }
        ok((await upload(bench, box, '/out/tmp', 'escaped', Buffer.from('x'))).status >= 400);
        for (const volume of ['../..', `${box.volume}/../..`, '/', '..', `${box.volume}/_data`]) {
          const query = `volumeID=${encodeURIComponent(volume)}&path=%2F`;
          const answer = await bench.ask({ path: `/v2/browse/ls?${query}`, headers: steer(box.node) });
          equal(answer.status, 400, volume);
        }
      });
    },
  },
  {
    id: 'B6',
    what: 'host browsing under /host',
    async run(bench) {
      for (const { node } of bench.boxes) {
        const answer = await bench.ask({ path: '/v2/browse/ls?path=%2Fhost', headers: steer(node) });
        equal(answer.status, 200, answer.body.toString());
        const names = (JSON.parse(answer.body.toString()) as readonly Item[]).map(({ Name }) => Name);
        for (const name of ['etc', 'usr', 'var']) ok(names.includes(name), name);
      }
    },
  },
  {
    id: 'B7',
    what: '/host/info: disks, and PCI devices or null, by their names',
    async run(bench) {
      for (const { node } of bench.boxes) {
        const found = hostInfo(await bench.ask({ path: '/v2/host/info', headers: steer(node) }));
        for (const { Vendor, Name } of found.PCIDevices ?? [])
          deepEqual([typeof Vendor, typeof Name], ['string', 'string']);
        // Every Linux has the list of its disks, as it has the `etc` of row B6; not every one has a PCI bus.
        ok(found.PhysicalDisks);
        for (const { Vendor, Size } of found.PhysicalDisks)
          deepEqual([typeof Vendor, typeof Size], ['string', 'number']);
      }
    },
  },
  {
    id: 'B7 names',
    what: '/host/info: with pci.ids the names of the devices, without it `unknown`, without a host null',
    needs: ['fresh'],
    run: checkHostInfo,
  },
  {
    id: 'B8',
    what: '/v2/dockerhub: authentication without a password is 400',
    async run({ ask }) {
      for (const body of ['{"Authentication":true,"Username":"me"}', 'no JSON']) {
        const answer = await ask({ method: 'POST', path: '/v2/dockerhub', body });
        deepEqual([answer.status, messageOf(answer)], [400, 'Invalid request payload']);
      }
    },
  },
  {
    id: 'B8 hub',
    what: '/v2/dockerhub with the server’s registry object; null without rate headers',
    needs: ['fresh', 'hub'],
    run: checkHub,
  },
];

async function checkHostInfo({ abilities: { fresh } }: Bench): Promise<void> {
  if (fresh === undefined) throw new Error('a row was run without what it needs');
  const root = await mkdtemp(join(tmpdir(), 'host-'));
  try {
    await using agent = await fresh({ FLOTILLA_HOST_ROOT: root });
    const signer = createSigner();
    const ask = async (): Promise<HostInfo> =>
      hostInfo(await requestRaw(agent.compat, { path: '/v2/host/info', headers: signer.headers() }));
    const make = async (path: string, text: string): Promise<void> => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    };
    deepEqual(await ask(), { PCIDevices: null, PhysicalDisks: null });
    const modalias = 'pci:v00008086d0000100Esv00008086sd0000001Ebc02sc00i00\n';
    await make('sys/bus/pci/devices/0000:00:03.0/modalias', modalias);
    await make('sys/block/sda/device/vendor', 'ATA     \n');
    await make('sys/block/sda/size', '2048\n');
    const PhysicalDisks = [{ Vendor: 'ATA', Size: 1_048_576 }];
    deepEqual(await ask(), { PCIDevices: [{ Vendor: 'unknown', Name: 'unknown' }], PhysicalDisks });
    await make('usr/share/misc/pci.ids', '8086  Intel Corporation\n\t100e  82540EM Gigabit\n');
    const PCIDevices = [{ Vendor: 'Intel Corporation', Name: '82540EM Gigabit' }];
    deepEqual(await ask(), { PCIDevices, PhysicalDisks });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

type HostInfo = Readonly<Record<'PCIDevices' | 'PhysicalDisks', readonly Item[] | null>>;

function hostInfo({ status, body }: RawAnswer): HostInfo {
  equal(status, 200, body.toString());
  // The keys are looked at here, what they hold by who asks.
  const found = JSON.parse(body.toString()) as HostInfo;
  deepEqual(Object.keys(found).toSorted(), ['PCIDevices', 'PhysicalDisks']);
  return found;
}

async function checkHub({ abilities: { fresh, hub } }: Bench): Promise<void> {
  if (fresh === undefined || hub === undefined) throw new Error('a row was run without what it needs');
  let limits: NonNullable<HubAnswer['headers']> = {};
  await using server = await hub((path) =>
    path.startsWith('/token')
      ? { status: 200, body: '{"token":"t"}' }
      : { status: path.includes('/manifests/') ? 200 : 404, headers: limits },
  );
  await using agent = await fresh({
    FLOTILLA_DOCKERHUB_AUTH_URL: server.url,
    FLOTILLA_DOCKERHUB_REGISTRY_URL: server.url,
  });
  const signer = createSigner();
  // Everything that the server has of a registry, capitalised, and no content type.
  const registry = {
    Id: 3,
    Type: 6,
    Name: 'hub',
    URL: 'docker.io',
    Authentication: true,
    Username: 'me',
    Password: 'pw',
  };
  const ask = async (): Promise<unknown> => {
    const body = JSON.stringify(registry);
    const answer = await requestRaw(agent.compat, {
      method: 'POST',
      path: '/v2/dockerhub',
      headers: signer.headers(),
      body,
    });
    equal(answer.status, 200, answer.body.toString());
    return JSON.parse(answer.body.toString());
  };
  equal(await ask(), null);
  limits = { 'RateLimit-Limit': '200;w=21600', 'RateLimit-Remaining': '199;w=21600' };
  deepEqual(await ask(), { remaining: 199, limit: 200 });
}

/** The volume of every box, each on its node, and emptied afterwards. */
async function inEachVolume(bench: Bench, work: (box: Box) => Promise<void>): Promise<void> {
  for (const box of bench.boxes) {
    try {
      await work(box);
    } finally {
      await bench.runIn(box, ['sh', '-c', 'rm -rf /v/*']);
    }
  }
}

function browse(
  bench: Bench,
  { volume, node }: Box,
  method: string,
  action: string,
  query: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
  body?: string | Buffer,
): Promise<RawAnswer> {
  const text = new URLSearchParams({ volumeID: volume, ...query }).toString();
  return bench.ask({
    method,
    path: `/v2/browse/${action}?${text}`,
    headers: { ...steer(node), ...headers },
    ...(body !== undefined && { body }),
  });
}

async function content(bench: Bench, box: Box, path: string): Promise<Buffer> {
  const answer = await browse(bench, box, 'GET', 'get', { path });
  equal(answer.status, 200, answer.body.toString());
  return answer.body;
}

function upload(bench: Bench, box: Box, folder: string, name: string, bytes: Buffer): Promise<RawAnswer> {
  const { headers, body } = uploadForm({ folder, name, bytes });
  return browse(bench, box, 'POST', 'put', {}, headers, body);
}
