// Browsing volumes of a real engine, and what needs root to be made: a disk that is full, one behind another mount, and
// devices.

import { deepEqual, equal, match } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentLab, createAgentLab, printLogsOnFailure } from '../support/agent-lab.ts';
import { browseClient, createVolume, folderFirstForm, type Requester } from '../support/browse.ts';
import { assertErrorBody, startAgentUnderTest, useAgent } from '../support/checks.ts';
import { eventually } from '../support/eventually.ts';
import { runCommand } from '../support/lab/command.ts';
import type { LabNode } from '../support/lab/node.ts';
import { requestRaw } from '../support/raw-http.ts';

const mebibyte = 1024 * 1024;

describe('browse on a real engine', function () {
  this.timeout(120_000);
  let agents: AgentLab;
  before(async () => {
    agents = await createAgentLab({ nodes: 1, swarm: false });
    agents.startAll();
    await agents.whole(30_000);
  });
  after(async () => {
    await agents?.[Symbol.asyncDispose]();
  });
  printLogsOnFailure(() => agents);

  it('shows what a container wrote, and the container what was uploaded, but no link out', async () => {
    const node = agents.node(1);
    await node.docker(['volume', 'create', 'files']);
    const inContainer = (script: string): Promise<string> =>
      node.docker(['run', '--rm', '-v', 'files:/files', 'busybox:lab', 'sh', '-c', script]);
    await inContainer(
      'mkdir /files/d; echo hello > /files/d/f; ln -s d/f /files/in; ln -s /etc/passwd /files/out',
    );
    const requester = requesterOf(agents, node);
    const client = browseClient(requester, 'files');
    deepEqual(
      (await client.entries('/')).map(({ Name, Dir }) => [Name, Dir]),
      [
        ['d', true],
        ['in', false],
        ['out', false],
      ],
    );
    equal((await client.get('/in')).body.toString(), 'hello\n');
    match((await client.get('/out')).body.toString(), /A link leads out of the volume/);
    equal((await client.put('/up', 'load', 'from outside')).status, 204);
    equal((await inContainer('cat /files/up/load')).trim(), 'from outside');
    equal((await browseClient(requester, 'none').ls('/')).status, 500);
  });
});

describe('browse with mounts', () => {
  const under = useAgent();

  it('says that the disk is full, and keeps the old file', async () => {
    await using volume = await createVolume(under());
    await using _disk = await mountDisk(volume.data, 4);
    const client = browseClient(under(), volume.name);
    equal((await client.put('/', 'file', 'old')).status, 204);
    assertErrorBody(await client.put('/', 'file', Buffer.alloc(8 * mebibyte)), 500, {
      message: 'Error saving file to disk',
      details: 'Save a file: no space left on device',
    });
    deepEqual(await readdir(volume.data), ['file']);
    equal(await readFile(join(volume.data, 'file'), 'utf8'), 'old');
    equal((await client.put('/', 'file', Buffer.alloc(2 * mebibyte))).status, 204, 'what fits is taken');
  });

  it('copies an upload of the host onto another disk before it takes its name', async () => {
    const hostRoot = await mkdtemp(join(tmpdir(), 'host-'));
    try {
      const disk = join(hostRoot, 'mnt/disk');
      const spool = join(hostRoot, 'var/tmp');
      for (const folder of [disk, spool]) await mkdir(folder, { recursive: true });
      await using _disk = await mountDisk(disk, 8);
      await using under = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
      const client = browseClient(under, '');
      const content = Buffer.alloc(3 * mebibyte, 'new ');
      const file = join(disk, 'file');
      // The agent's umask is 022: it has no say over a file that is there already.
      for (const mode of [undefined, 0o640, 0o666, 0o775]) {
        if (mode !== undefined) {
          await writeFile(file, 'old');
          await chmod(file, mode);
          await chown(file, 1_234, 4_321);
        }
        equal((await client.put('/host/mnt/disk', 'file', content)).status, 204);
        equal((await readFile(file)).equals(content), true);
        const found = await stat(file);
        const wanted = mode === undefined ? [0o755, process.getuid?.()] : [mode, 1_234];
        deepEqual([found.mode & 0o777, found.uid], wanted);
      }
      const full = await client.put('/host/mnt/disk', 'file', Buffer.alloc(16 * mebibyte));
      match(full.body.toString(), /Save a file: no space left on device/);
      equal((await readFile(join(disk, 'file'))).equals(content), true);
      deepEqual([await readdir(disk), await readdir(spool)], [['file'], []]);
      const renamed = await client.rename('/host/mnt/disk/file', '/host/var/tmp/file');
      match(renamed.body.toString(), /Rename a file: it would have to go to another file system/);
    } finally {
      await rm(hostRoot, { recursive: true, force: true });
    }
  });

  it('receives an upload on the disk where it will stay if that is known, and names the disk that is full', async () => {
    const hostRoot = await mkdtemp(join(tmpdir(), 'host-'));
    try {
      const [spool, data] = [join(hostRoot, 'var/tmp'), join(hostRoot, 'data')];
      for (const folder of [spool, data]) await mkdir(folder, { recursive: true });
      await using _small = await mountDisk(spool, 1);
      await using under = await startAgentUnderTest({ env: { FLOTILLA_HOST_ROOT: hostRoot } });
      const content = Buffer.alloc(4 * mebibyte, 'x');
      assertErrorBody(await browseClient(under, '').put('/host/data', 'file', content), 500, {
        message: 'Error saving file to disk',
        details: 'Save a file first in /host/var/tmp: no space left on device',
      });
      const put = async (folder: string, bytes: Buffer): Promise<number> => {
        const { body, type } = folderFirstForm(folder, 'file', bytes);
        const headers = { 'Content-Type': type };
        return (await under.request({ method: 'POST', path: '/v2/browse/put', headers, body })).status;
      };
      equal(await put('/host/data', content), 204);
      equal((await readFile(join(data, 'file'))).equals(content), true);
      equal(
        await put('/host/data/made', content.subarray(0, 1_000)),
        204,
        'a folder that is made at the end',
      );
      equal(await put('/host/../etc', content), 400);
      deepEqual([await readdir(spool), (await readdir(data)).toSorted()], [[], ['file', 'made']]);
    } finally {
      await rm(hostRoot, { recursive: true, force: true });
    }
  });

  it('keeps the agent alive beside a mount that does not answer, and shows it when it is gone', async () => {
    await using under = await startAgentUnderTest();
    await using volume = await createVolume(under);
    const mountpoint = join(volume.data, 'mounts', 'dead');
    await mkdir(mountpoint, { recursive: true });
    const client = browseClient(under, volume.name);
    const silent = await mountSilent(mountpoint);
    try {
      const hanging = Array.from({ length: 8 }, () => client.ls('/mounts'));
      await eventually(async () => equal((await client.ls('/')).status, 503), { withinMs: 30_000 });
      // It reads files, and signatures are verified, in the threads that browsing has left.
      equal((await under.request({ path: '/host/info' })).status, 200);
      equal((await under.request({ path: '/host/info' })).status, 200);
      await silent.die();
      const answers = await Promise.all(hanging);
      deepEqual([...new Set(answers.map(({ status }) => status))].toSorted(), [200, 503]);
      const [entry] = await client.entries('/mounts');
      deepEqual([entry?.Name, entry?.Dir, entry?.Size], ['dead', true, 0]);
    } finally {
      await silent.die();
      await runCommand(['umount', mountpoint]);
    }
  });

  it('opens no device', async () => {
    await using volume = await createVolume(under());
    const client = browseClient(under(), volume.name);
    for (const [name, type, major, minor] of [
      ['zero', 'c', '1', '5'],
      ['tty', 'c', '5', '0'],
      ['disk', 'b', '7', '0'],
    ] as const) {
      await runCommand(['mknod', join(volume.data, name), type, major, minor]);
      match((await client.get(`/${name}`)).body.toString(), /Open a file: it is a device, fifo or socket/);
      match(
        (await client.put('/', name, 'x')).body.toString(),
        /Replace a file: it is a device, fifo or socket/,
      );
    }
    equal((await client.entries('/')).length, 3);
  });
});

function requesterOf({ signer }: AgentLab, { address: host }: LabNode): Requester {
  return {
    request: (request) =>
      requestRaw(
        { kind: 'tls', host, port: 9001 },
        { ...request, headers: { ...signer.headers(), ...request.headers } },
      ),
  };
}

/** A file system whose server takes every question and answers none; when it dies, all of them fail. */
async function mountSilent(folder: string): Promise<{ readonly die: () => Promise<void> }> {
  const server = await open('/dev/fuse', 'r+');
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
  const mount = spawn('mount', ['-i', '-t', 'fuse', '-o', options, 'silent', folder], {
    stdio: ['ignore', 'ignore', 'inherit', server.fd],
  });
  equal((await once(mount, 'exit'))[0], 0);
  return { die: () => server.close() };
}

async function mountDisk(folder: string, mebibytes: number): Promise<AsyncDisposable> {
  await runCommand(['mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder]);
  return {
    async [Symbol.asyncDispose]() {
      await runCommand(['umount', folder]);
    },
  };
}
