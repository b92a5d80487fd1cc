// Where the programs that deploy stacks are looked for, and that only what can be run is taken.

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { candidatesOf, findProgram, type ProgramPlaces } from './programs.ts';

describe('programs for stacks', () => {
  let root: string;
  let places: ProgramPlaces;
  const put = async (file: string, mode: number): Promise<string> => {
    const place = path.join(root, file);
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, '#!/bin/sh\n');
    await chmod(place, mode);
    return place;
  };

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'flotilla-programs-'));
    places = {
      assetsPath: path.join(root, 'app'),
      hostRoot: path.join(root, 'host'),
      path: path.join(root, 'bin'),
    };
  });

  afterEach(() => rm(root, { recursive: true }));

  it('come from the folder for them, then from PATH, then from the host', async () => {
    const host = await put('host/usr/bin/docker', 0o755);
    assert.equal(await findProgram('docker', places), host);
    const own = await put('bin/docker', 0o755);
    assert.equal(await findProgram('docker', places), own);
    const given = await put('app/docker', 0o755);
    assert.equal(await findProgram('docker', places), given);
  });

  it('include the plugin of a host, which is a program too', async () => {
    const plugin = await put('host/usr/libexec/docker/cli-plugins/docker-compose', 0o755);
    assert.equal(candidatesOf('docker-compose', places).includes(plugin), true);
    assert.equal(
      candidatesOf('docker', places).some((file) => file.includes('cli-plugins')),
      false,
    );
  });

  it('are files that can be run', async () => {
    const good = await put('host/usr/bin/docker', 0o755);
    await put('bin/docker', 0o644);
    await mkdir(path.join(root, 'app/docker'), { recursive: true });
    assert.equal(await findProgram('docker', places), good);
  });

  it('are not a link of the host that leads nowhere from here', async () => {
    await mkdir(path.join(root, 'host/usr/bin'), { recursive: true });
    await symlink('/etc/alternatives/flotilla-none', path.join(root, 'host/usr/bin/docker'));
    await assert.rejects(findProgram('docker', places), {
      code: 'unavailable',
      message: /no docker in .*app/,
    });
  });

  it('are never taken from a relative folder', () => {
    const found = candidatesOf('docker', { ...places, path: '.:bin::/usr/bin' });
    assert.deepEqual(
      found.filter((file) => !file.startsWith('/')),
      [],
    );
    assert.equal(found.includes('/usr/bin/docker'), true);
  });
});
