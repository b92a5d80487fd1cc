// What people do with the docker CLI through a tunnel: list, follow, work in a container, copy what is large, build.
// The container `box` runs, and has written `out`.

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DockerCli } from './docker-cli.ts';
import { eventually } from './eventually.ts';
import { busyboxImage } from './lab/images.ts';
import { scaled } from './scale.ts';

export interface TunnelledCli {
  readonly docker: DockerCli;
  /** A command on the engine itself, past the tunnel. */
  engine(args: readonly string[]): Promise<string>;
  /** For what the commands make; its own. */
  readonly folder: string;
  /** Connections that came to the agent's API through the tunnel and are open. */
  connections(): number | Promise<number>;
  /** From now on the memory of the process that ends the tunnel is watched; resolves with how much it grew at most. */
  watchMemory(): () => number;
}

/** Windows, sockets' buffers and what the collector has not got to yet; the file is larger. */
const maxGrowthBytes = 128 * 1024 * 1024;
const fileMegabytes = scaled(256, 1_024);

export interface TunnelCliOptions {
  /**
   * The end of what the CLI sends passes without ending what comes back. Chisel servers end both, so that a command without
   * a terminal has no output; over TLS the CLI says it in a record, which they do not see.
   */
  readonly halfCloses: boolean;
}

export function tunnelCliCases(under: () => TunnelledCli, { halfCloses }: TunnelCliOptions): void {
  it('lists containers', async () => {
    assert.equal(await under().docker.text(['ps', '--format', '{{.Names}}']), 'box');
  });

  it('follows a log, and lets go of it when the CLI leaves', async () => {
    const { docker, connections } = under();
    {
      await using logs = docker.start(['logs', '-f', 'box']);
      await logs.says(/out/);
    }
    await eventually(async () => assert.equal(await connections(), 0));
  });

  it('runs a command in a terminal', async () => {
    const { docker } = under();
    await using shell = docker.startInTerminal(['exec', '-it', 'box', 'sh'], { rows: 33, columns: 111 });
    // The CLI tells the size when the shell has started already.
    shell.stdin.write(
      'until [ "$(stty size)" = "33 111" ]; do sleep 0.1; done; echo columns $((100 + 11)); exit 7\n',
    );
    await shell.says(/columns 111/);
    assert.equal((await shell.ended).code, 7);
  });

  if (halfCloses)
    it('runs a command with its input, and gives all its output', async () => {
      const input = 'a line\n'.repeat(20_000);
      const { code, stdout } = await under().docker.run(['exec', '-i', 'box', 'cat'], { input });
      assert.equal(code, 0);
      assert.ok(stdout.toString() === input, `${stdout.length} bytes`);
    });

  it(`copies ${fileMegabytes} MiB in and out with flat memory`, async () => {
    const { docker, engine, folder, watchMemory } = under();
    const size = fileMegabytes * 1024 * 1024;
    const make = ['dd', 'if=/dev/zero', 'of=/big', 'bs=1M', `count=${fileMegabytes}`];
    await engine(['exec', 'box', ...make]);
    const grown = watchMemory();
    const file = join(folder, 'big');
    await docker.text(['cp', 'box:/big', file]);
    assert.equal(statSync(file).size, size);
    await docker.text(['cp', file, 'box:/back']);
    assert.equal((await engine(['exec', 'box', 'stat', '-c', '%s', '/back'])).trim(), String(size));
    const growth = grown();
    assert.ok(growth < maxGrowthBytes, `${Math.round(growth / 1024 / 1024)} MiB more`);
    // The next one finds room for its own.
    await engine(['exec', 'box', 'rm', '/big', '/back']);
    rmSync(file);
  });

  it('builds', async () => {
    const { docker, engine, folder } = under();
    const context = join(folder, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), `FROM ${busyboxImage}\nRUN echo built > /made\n`);
    const env = { DOCKER_BUILDKIT: '0' };
    await docker.text(['build', '--tag', 'through-tunnel', context], { env });
    assert.equal((await engine(['run', '--rm', 'through-tunnel', 'cat', '/made'])).trim(), 'built');
  });
}
