// The browse routes on a real agent, over a volume that is a real folder: rows B1 to B6 of the server's expectations,
// and what the original does worse (agent-api.md Q3, Q4).

import { deepEqual, equal, fail, match, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmod,
  link,
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
import { promisify } from 'node:util';
import { type BrowsedVolume, browseClient, createVolume, uploadForm } from '../support/browse.ts';
import { assertAgentHeaders, assertErrorBody, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { vectors } from '../support/vectors.ts';

const run = promisify(execFile);

describe('browse', () => {
  const under = useAgent();
  let volume: BrowsedVolume;
  const client = (): ReturnType<typeof browseClient> => browseClient(under(), volume.name);

  beforeEach(async () => {
    volume = await createVolume(under());
  });
  afterEach(() => volume[Symbol.asyncDispose]());

  it('B1 lists fields and types, sorted, and an empty folder as []', async () => {
    equal((await client().ls('/')).body.toString(), '[]');
    await mkdir(join(volume.data, 'b'));
    await writeFile(join(volume.data, 'a.txt'), 'hello');
    await symlink('b', join(volume.data, 'c'));
    await utimes(join(volume.data, 'a.txt'), 1_700_000_000.9, 1_700_000_000.9);
    const answer = await client().ls('/');
    assertAgentHeaders(answer);
    const [file, folder, linked] = await client().entries('/');
    deepEqual(file, { Name: 'a.txt', Size: 5, Dir: false, ModTime: 1_700_000_000 });
    deepEqual([folder?.Name, folder?.Dir], ['b', true]);
    deepEqual([linked?.Name, linked?.Dir, linked?.Size], ['c', false, 1]);
  });

  it('B1 refuses a missing path and dot-dot elements in the original words', async () => {
    const { browseMissingPath, browseDotDot } = vectors.errors;
    if (browseMissingPath === undefined || browseDotDot === undefined) throw fail('no such vectors');
    const missing = await under().request({ path: '/v2/browse/ls?volumeID=vol' });
    assertErrorBody(missing, browseMissingPath.status, browseMissingPath.body);
    for (const path of ['/..', '../x', '/a/../b', 'a\\..\\b', '/%2e%2e', '/a/%2E./b'])
      assertErrorBody(
        await under().request({ path: `/v2/browse/ls?volumeID=vol&path=${path}` }),
        browseDotDot.status,
        browseDotDot.body,
      );
  });

  it('B1 says in the original words what cannot be listed', async () => {
    await writeFile(join(volume.data, 'a'), '');
    for (const path of ['/none', '/a', '/a/b']) {
      const answer = await client().ls(path);
      equal(answer.status, 500);
      match(answer.body.toString(), /"message":"Unable to list files inside specified directory"/);
      equal(answer.body.includes(volume.folder), false, 'no path of the host in an answer');
    }
  });

  it('B2 gets a file byte for byte, whole and in ranges', async () => {
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
    await writeFile(join(volume.data, 'x.bin'), content);
    const whole = await client().get('/x.bin');
    equal(whole.status, 200);
    assertAgentHeaders(whole);
    deepEqual(whole.body, content);
    equal(whole.headers.get('accept-ranges'), 'bytes');
    equal(whole.headers.get('content-disposition'), undefined);
    for (const [range, first, last] of [
      ['bytes=0-0', 0, 0],
      ['bytes=1000-1999', 1_000, 1_999],
      ['bytes=299990-', 299_990, 299_999],
      ['bytes=-10', 299_990, 299_999],
      ['bytes=5-999999999', 5, 299_999],
    ] as const) {
      const part = await client().get('/x.bin', { Range: range });
      equal(part.status, 206);
      equal(part.headers.get('content-range'), `bytes ${first}-${last}/300000`);
      deepEqual(part.body, content.subarray(first, last + 1));
    }
    const beyond = await client().get('/x.bin', { Range: 'bytes=300000-' });
    deepEqual([beyond.status, beyond.headers.get('content-range')], [416, 'bytes */300000']);
  });

  it('B2 answers conditional requests', async () => {
    await writeFile(join(volume.data, 'x.txt'), 'one');
    const first = await client().get('/x.txt');
    match(first.headers.get('content-type') ?? '', /^text\/plain/);
    const modified = first.headers.get('last-modified') ?? '';
    const etag = first.headers.get('etag') ?? '';
    equal((await client().get('/x.txt', { 'If-Modified-Since': modified })).status, 304);
    equal((await client().get('/x.txt', { 'If-None-Match': etag })).status, 304);
    equal((await client().get('/x.txt', { 'If-Match': '"other"' })).status, 412);
    equal((await client().get('/x.txt', { Range: 'bytes=0-0', 'If-Range': etag })).status, 206);
    await writeFile(join(volume.data, 'x.txt'), 'two');
    equal((await client().get('/x.txt', { Range: 'bytes=0-0', 'If-Range': etag })).body.toString(), 'two');
    equal((await client().get('/x.txt', { 'If-None-Match': etag })).body.toString(), 'two');
  });

  it('B2 opens neither folders nor missing files, and an empty file is empty', async () => {
    await mkdir(join(volume.data, 'd'));
    await writeFile(join(volume.data, 'empty'), '');
    for (const path of ['/d', '/none', '/'])
      match((await client().get(path)).body.toString(), /"message":"Unable to open file"/);
    const empty = await client().get('/empty');
    deepEqual([empty.status, empty.body.length, empty.headers.get('content-length')], [200, 0, '0']);
  });

  it('B3 saves an upload whose folder comes last, and leaves no tail of the old file', async () => {
    equal((await client().put('/deep/er', 'x.txt', 'a long first content')).status, 204);
    equal((await client().put('/deep/er', 'x.txt', 'short')).status, 204);
    equal(await readFile(join(volume.data, 'deep/er/x.txt'), 'utf8'), 'short');
    equal((await stat(join(volume.data, 'deep/er/x.txt'))).mode & 0o777, 0o755);
    equal((await stat(join(volume.data, 'deep'))).mode & 0o777, 0o755);
    deepEqual(await readdir(volume.data), ['deep']);
  });

  it('B3 drops folders in the name of the file', async () => {
    equal((await client().put('/', '../../x', 'content')).status, 204);
    equal((await client().put('/', '/etc/y', 'content')).status, 204);
    deepEqual(await readdir(volume.data), ['x', 'y']);
  });

  it('B3 keeps the owner and permissions of the file that it replaces', async () => {
    const file = join(volume.data, 'secret');
    await writeFile(file, 'old');
    await chmod(file, 0o4600);
    equal((await client().put('/', 'secret', 'new')).status, 204);
    deepEqual([await readFile(file, 'utf8'), (await stat(file)).mode & 0o7777], ['new', 0o600]);
  });

  it('B3 refuses a form without a file, without a folder, cut short, or none at all', async () => {
    const post = (type: string, body: string | Buffer): ReturnType<ReturnType<typeof under>['request']> =>
      under().request({
        method: 'POST',
        path: '/v2/browse/put?volumeID=vol',
        headers: { 'Content-Type': type },
        body,
      });
    const bad = (details: string): { message: string; details: string } => ({
      message: 'Invalid request payload',
      details,
    });
    const { type, body } = uploadForm('/', 'x', 'content');
    assertErrorBody(
      await post('text/plain', 'x'),
      400,
      bad("Request Content-Type isn't multipart/form-data"),
    );
    assertErrorBody(await post(type, uploadForm('', 'x', 'c').body), 400, bad('Invalid file path'));
    assertErrorBody(await post(type, uploadForm('/', '', 'c').body), 400, bad('Http: no such file'));
    for (const length of [10, 80, 120, 190, body.length - 4])
      equal((await post(type, body.subarray(0, length))).status, 400, `${length} bytes`);
    deepEqual(await readdir(volume.data), []);
  });

  it('B4 renames and removes', async () => {
    await mkdir(join(volume.data, 'd'));
    await writeFile(join(volume.data, 'a'), '1');
    await writeFile(join(volume.data, 'b'), '2');
    equal((await client().rename('/a', '/d/c')).status, 204);
    equal((await client().rename('/b', '/d/c')).status, 204, 'a file is replaced');
    equal(await readFile(join(volume.data, 'd/c'), 'utf8'), '2');
    equal((await client().remove('/d')).status, 500, 'not empty');
    equal((await client().remove('/d/c')).status, 204);
    equal((await client().remove('/d')).status, 204);
    match((await client().remove('/d')).body.toString(), /"message":"Unable to remove file"/);
    match((await client().rename('/x', '/y')).body.toString(), /"message":"Unable to rename file"/);
  });

  it('B4 refuses a rename whose body says too little, and never replaces a folder', async () => {
    await mkdir(join(volume.data, 'd'));
    await mkdir(join(volume.data, 'e'));
    equal((await client().rename('/d', '/e')).status, 500);
    assertErrorBody(await client().rename('', '/e'), 400, {
      message: 'Invalid request payload',
      details: 'Current file path is invalid',
    });
    assertErrorBody(await client().rename('/d', ''), 400, {
      message: 'Invalid request payload',
      details: 'New file path is invalid',
    });
    equal((await client().rename('/d', '/../e')).status, 400);
  });

  it('B5 refuses volumes that are no plain name, and links that lead out', async () => {
    await writeFile(join(volume.folder, 'outside'), 'secret');
    await symlink('../outside', join(volume.data, 'up'));
    await symlink(join(volume.folder, 'outside'), join(volume.data, 'absolute'));
    await symlink('/', join(volume.data, 'slash'));
    await symlink('..', join(volume.data, 'parent'));
    for (const path of ['/up', '/absolute', '/slash/etc/passwd', '/parent/outside']) {
      const answer = await client().get(path);
      equal(answer.status, 400);
      match(answer.body.toString(), /"details":"A link leads out of the volume"/);
    }
    for (const name of ['../x', 'a/b', '..', '.', 'a%00', '-x', 'ü']) {
      const answer = await under().request({ path: `/v2/browse/ls?volumeID=${encodeURI(name)}&path=/` });
      equal(answer.status, 400, name);
      match(answer.body.toString(), /"message":"Invalid volume"/);
    }
    equal((await under().request({ path: '/v2/browse/ls?volumeID=other&path=/' })).status, 500);
  });

  it('B5 follows links that stay inside', async () => {
    await mkdir(join(volume.data, 'a/b'), { recursive: true });
    await writeFile(join(volume.data, 'a/file'), 'content');
    await symlink('../../a/./file', join(volume.data, 'a/b/link'));
    await symlink('a/b', join(volume.data, 'folder'));
    equal((await client().get('/folder/link')).body.toString(), 'content');
    deepEqual(
      (await client().entries('/folder')).map(({ Name }) => Name),
      ['link'],
    );
    await symlink('loop', join(volume.data, 'loop'));
    equal((await client().get('/loop')).status, 500);
  });

  it('replaces a link by an upload, and removes and renames the link itself', async () => {
    const outside = join(volume.folder, 'outside');
    await writeFile(outside, 'secret');
    for (const name of ['put', 'remove', 'rename']) await symlink('../outside', join(volume.data, name));
    equal((await client().put('/', 'put', 'new')).status, 204);
    equal((await client().remove('/remove')).status, 204);
    equal((await client().rename('/rename', '/renamed')).status, 204);
    equal(await readFile(outside, 'utf8'), 'secret');
    equal(await readFile(join(volume.data, 'put'), 'utf8'), 'new');
    equal((await client().remove('/')).status, 500, 'the root stays');
    ok((await stat(volume.data)).isDirectory());
  });

  it('refuses devices, fifos and sockets without waiting for them', async () => {
    await run('mkfifo', [join(volume.data, 'fifo')]);
    await run('mknod', [join(volume.data, 'zero'), 'c', '1', '5']).catch(() => undefined);
    for (const name of await readdir(volume.data)) {
      match(
        (await client().get(`/${name}`)).body.toString(),
        /"details":"Open a file: it is a device, fifo or/,
      );
      equal((await client().put('/', name, 'x')).status, 500);
    }
    deepEqual(
      (await client().entries('/')).map(({ Size }) => Size),
      (await readdir(volume.data)).map(() => 0),
    );
    equal((await client().remove('/fifo')).status, 204);
  });

  it('keeps every name as its bytes', async () => {
    const names = [
      Buffer.from('new\nline'),
      Buffer.from('quo"te\'s & %25 + \\'),
      Buffer.from('n'.repeat(255)),
      Buffer.from([0x66, 0xff, 0xfe, 0x80]),
      Buffer.from('\uFFFD41'),
      Buffer.from('grün'),
    ];
    for (const name of names) await writeFile(Buffer.concat([Buffer.from(`${volume.data}/`), name]), name);
    const entries = await client().entries('/');
    equal(entries.length, names.length);
    for (const { Name } of entries) {
      const answer = await client().get(`/${Name}`);
      equal(answer.status, 200, Name);
      ok(
        names.some((name) => name.equals(answer.body)),
        Name,
      );
      equal((await client().rename(`/${Name}`, `/moved`)).status, 204);
      equal((await client().rename(`/moved`, `/${Name}`)).status, 204);
    }
    equal(
      (await client().get(Buffer.from([0x2f, 0x66, 0xff, 0xfe, 0x80]))).status,
      200,
      'raw bytes in the query',
    );
    for (const name of names) {
      if (name.includes('\n') || name.includes('"')) continue;
      equal((await client().put('/up', name, 'x')).status, 204);
    }
    const put = (await readdir(join(volume.data, 'up'), { encoding: 'buffer' })).map((name) =>
      name.toString('hex'),
    );
    for (const name of names.slice(2)) ok(put.includes(name.toString('hex')), name.toString('hex'));
  });

  it('serves v1, where the volume is in the path and its root needs no name', async () => {
    await writeFile(join(volume.data, 'a'), 'content');
    const get = (path: string, method = 'GET'): ReturnType<ReturnType<typeof under>['request']> =>
      under().request({ method, path: `/v1/browse/vol/${path}` });
    match((await get('ls')).body.toString(), /^\[\{"Name":"a","Size":7,"Dir":false/);
    equal((await get('get?path=a')).body.toString(), 'content');
    assertErrorBody(await get('get?path=../x'), 400, {
      message: 'Invalid query parameter: path',
      details: "Invalid path. Ensure that the path do not contain '..' elements",
    });
    const { body, type } = uploadForm('/', 'b', 'x');
    const headers = { 'Content-Type': type };
    equal((await under().request({ method: 'POST', path: '/v1/browse/vol/put', headers, body })).status, 204);
    equal((await get('delete?path=b', 'DELETE')).status, 204);
    equal((await get('delete', 'DELETE')).status, 400);
    deepEqual(await readdir(volume.data), ['a']);
  });

  it('cannot tell a hard link from a file, which is in the volume like any other', async () => {
    await writeFile(join(volume.folder, 'outside'), 'shared');
    await link(join(volume.folder, 'outside'), join(volume.data, 'hard'));
    equal((await client().put('/', 'hard', 'new')).status, 204);
    equal(await readFile(join(volume.folder, 'outside'), 'utf8'), 'shared', 'an upload is a new file');
  });
});

describe('browse of the host', () => {
  let hostRoot: string;
  beforeEach(async () => {
    hostRoot = await mkdtemp(join(tmpdir(), 'host-'));
    await mkdir(join(hostRoot, 'etc'));
    await writeFile(join(hostRoot, 'etc/name'), 'host');
    await symlink('/etc', join(hostRoot, 'conf'));
  });
  afterEach(() => rm(hostRoot, { recursive: true, force: true }));

  it('B6 browses under /host, and reads links as the host does', async () => {
    await using under = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
    const client = browseClient(under, '');
    equal((await client.entries('/host')).length, 2);
    equal((await client.get('/host/etc/name')).body.toString(), 'host');
    equal(
      (await client.get('/host/conf/name')).body.toString(),
      'host',
      "an absolute link means the host's root",
    );
    equal((await client.get(`${hostRoot}/etc/name`)).body.toString(), 'host');
    equal((await client.put('/host/new', 'file', 'x')).status, 204);
    deepEqual(await readdir(join(hostRoot, 'new')), ['file']);
    for (const path of ['/', '/etc/passwd', '/hostile', '/host/../etc/passwd'])
      equal((await client.get(path)).status, 400, path);
    equal((await client.remove('/host')).status, 500);
  });

  it('finds a volume whose folder is the host’s, through links of the host', async () => {
    await mkdir(join(hostRoot, 'disk2/docker/volumes/vol/_data'), { recursive: true });
    await mkdir(join(hostRoot, 'var/lib'), { recursive: true });
    await symlink('/disk2/docker', join(hostRoot, 'var/lib/docker'));
    await writeFile(join(hostRoot, 'disk2/docker/volumes/vol/_data/a'), 'x');
    await using under = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
    under.engine.state.volumes = {
      Volumes: [{ Name: 'vol', Mountpoint: '/var/lib/docker/volumes/vol/_data' }],
    };
    equal((await browseClient(under, 'vol').entries('/')).length, 1);
  });

  for (const [name, value] of [
    ['FLOTILLA_HOST_BROWSE', 'off'],
    ['CAP_HOST_MANAGEMENT', '0'],
  ] as const)
    it(`is switched off by ${name}=${value}, and volumes are not`, async () => {
      await using under = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot, [name]: value } });
      await using volume = await createVolume(under);
      const off = {
        message: 'Host management capability disabled',
        details: 'Host management capability disabled',
      };
      const client = browseClient(under, '');
      assertErrorBody(await client.ls('/host'), 503, off);
      assertErrorBody(await client.get('/host/etc/name'), 503, off);
      assertErrorBody(await client.remove('/host/etc/name'), 503, off);
      assertErrorBody(await client.rename('/host/etc/name', '/host/x'), 503, off);
      assertErrorBody(await client.put('/host', 'x', 'y'), 503, off);
      equal((await browseClient(under, volume.name).ls('/')).status, 200);
      equal(await readFile(join(hostRoot, 'etc/name'), 'utf8'), 'host');
    });
});
