// A chisel server built from Go's own SSH library, beside which ours of `edge-server` is only our reading of its protocol.

import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../free-port.ts';
import type { TunnelServer } from '../tunnel-bed.ts';
import { tunnelVectors } from '../tunnel-vectors.ts';

const source = join(import.meta.dirname, 'main.go');
const folder = join(import.meta.dirname, '../../../node_modules/.cache/chisel-go');
const binary = join(folder, 'chisel-server');
/** Of the whole standard library that it needs, on a busy machine. */
export const goBuildTimeoutMs = 240_000;
const user = 'user1234';
const password = 'pass5678';

/** Needs `goPackages`; builds the server when it is not built yet. */
export async function startGoChiselServer(): Promise<TunnelServer> {
  build();
  const port = await freePort();
  let allowed = 0;
  let logins = 0;
  let child: ChildProcessWithoutNullStreams | undefined;

  const tell = (): void => void child?.stdin.write(`${allowed}\n`);
  let errors = '';
  const start = async (): Promise<string> => {
    child = spawn(binary, [String(port), user, password], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { CHISEL_KEY: tunnelVectors.chisel.hostKey.privateKeySec1Pem },
    });
    const said = Promise.withResolvers<string>();
    child.once('error', said.reject);
    child.once('exit', () => said.reject(new Error(`the chisel server ended: ${errors}`)));
    // It may end before it has read what it is told.
    child.stdin.on('error', () => undefined);
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'login') logins += 1;
      else said.resolve(line);
    });
    tell();
    return said.promise;
  };
  const stop = async (): Promise<void> => {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const exited = once(ending, 'exit');
    ending.kill();
    await exited;
  };

  const { fingerprint } = JSON.parse(await start()) as { readonly fingerprint: string };
  return {
    port,
    scheme: '',
    fingerprint,
    user,
    password,
    allow(wanted): void {
      allowed = wanted;
      tell();
    },
    logins: () => logins,
    stop,
    async start(): Promise<void> {
      await start();
    },
    [Symbol.asyncDispose]: stop,
  };
}

function build(): void {
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return;
  mkdirSync(folder, { recursive: true });
  // Whole or not at all: another process may start it at this moment.
  const built = `${binary}.${process.pid}`;
  execFileSync('go', ['build', '-o', built, source], {
    // Debian's packages lie where GOPATH had them before modules.
    env: {
      ...process.env,
      GO111MODULE: 'off',
      GOPATH: '/usr/share/gocode',
      GOCACHE: join(folder, 'cache'),
      GOFLAGS: '',
    },
    timeout: goBuildTimeoutMs,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  renameSync(built, binary);
}
