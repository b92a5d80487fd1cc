// Debian's own OpenSSH server and client for tests: its own configuration, keys and one user with a password.
// The user exists in the server's mount namespace only; the machine's accounts are not touched.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

export interface OpenSsh extends AsyncDisposable {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** As ssh-keygen prints them, by type. */
  readonly fingerprints: Readonly<Record<'ed25519' | 'ecdsa' | 'rsa', string>>;
  log(): string;
  /** Ends the server and all sessions. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** `ssh -R`: what OpenSSH's own client does. Ends when disposed. */
  reverse(listenPort: number, targetPort: number): Promise<AsyncDisposable>;
}

const user = 'tunnel';
const password = 'tunnel-password';
const sshd = '/usr/sbin/sshd';
const keyTypes = ['ed25519', 'ecdsa', 'rsa'] as const;
const commandTimeoutMs = 20_000;

/** Needs root, for the namespace. */
export async function startOpenSsh(extraConfig: readonly string[] = []): Promise<OpenSsh> {
  const folder = mkdtempSync(join(tmpdir(), 'openssh-'));
  const fingerprints = makeKeys(folder);
  writeAccounts(folder);
  const port = await freePort();
  writeFileSync(join(folder, 'sshd_config'), config(folder, port, extraConfig));
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  let log = '';
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const binds = ['passwd', 'shadow'].map((name) => `mount --bind ${join(folder, name)} /etc/${name}`);
    const line = `${binds.join(' && ')} && exec ${sshd} -D -e -f ${join(folder, 'sshd_config')}`;
    // A process group of its own, so that its sessions end with it.
    const started = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', line], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    child = started;
    started.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    await eventually(() => answers(port), { withinMs: 10_000 });
  };
  const stop = async (): Promise<void> => {
    const ending = child;
    child = undefined;
    if (ending === undefined) return;
    const sessions = sessionsOf(ending.pid);
    const exited = once(ending, 'exit');
    ending.kill('SIGTERM');
    for (const pid of sessions) endProcess(pid);
    await exited;
  };

  await start();
  return {
    port,
    user,
    password,
    fingerprints,
    log: () => log,
    stop,
    start,
    reverse: (listenPort, targetPort) => startReverse(folder, port, listenPort, targetPort),
    async [Symbol.asyncDispose](): Promise<void> {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeKeys(folder: string): OpenSsh['fingerprints'] {
  const found = keyTypes.map((type) => {
    const file = join(folder, `host_${type}`);
    keygen(['-q', '-t', type, '-N', '', '-f', file]);
    return [type, /SHA256:\S+/.exec(keygen(['-lf', file]))?.[0] ?? ''];
  });
  keygen(['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'client')]);
  writeFileSync(join(folder, 'authorized_keys'), readFileSync(join(folder, 'client.pub')), { mode: 0o600 });
  return Object.fromEntries(found) as OpenSsh['fingerprints'];
}

function keygen(args: readonly string[]): string {
  return execFileSync('ssh-keygen', args, { encoding: 'utf8', timeout: commandTimeoutMs });
}

function writeAccounts(folder: string): void {
  const hash = execFileSync('openssl', ['passwd', '-6', password], {
    encoding: 'utf8',
    timeout: commandTimeoutMs,
  }).trim();
  const passwd = readFileSync('/etc/passwd', 'utf8');
  writeFileSync(join(folder, 'passwd'), `${passwd}${user}:x:65533:65534::/nonexistent:/usr/sbin/nologin\n`);
  const shadow = readFileSync('/etc/shadow', 'utf8');
  writeFileSync(join(folder, 'shadow'), `${shadow}${user}:${hash}:19000:0:99999:7:::\n`, { mode: 0o600 });
}

function config(folder: string, port: number, extra: readonly string[]): string {
  return [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...keyTypes.map((type) => `HostKey ${join(folder, `host_${type}`)}`),
    'PidFile none',
    'UsePAM no',
    'PasswordAuthentication yes',
    'PermitRootLogin prohibit-password',
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    'StrictModes no',
    'LogLevel VERBOSE',
    'MaxStartups 100',
    ...extra,
    '',
  ].join('\n');
}

/** A session is a child of the server, and for our user a child of that. */
function sessionsOf(pid: number | undefined): readonly number[] {
  if (pid === undefined) return [];
  const children = childrenOf(pid);
  return children.flatMap((child) => [child, ...sessionsOf(child)]);
}

function childrenOf(pid: number): readonly number[] {
  try {
    const line = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return line.split(' ').filter(Boolean).map(Number);
  } catch {
    // It has ended in the meantime.
    return [];
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

async function startReverse(
  folder: string,
  port: number,
  listenPort: number,
  targetPort: number,
): Promise<AsyncDisposable> {
  const options = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'ExitOnForwardFailure=yes',
    'LogLevel=ERROR',
  ];
  const child = spawn(
    'ssh',
    [
      ...['-N', '-F', 'none', '-i', join(folder, 'client'), '-p', String(port)],
      ...options.flatMap((option) => ['-o', option]),
      ...['-R', `127.0.0.1:${listenPort}:127.0.0.1:${targetPort}`, 'root@127.0.0.1'],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await eventually(() => answers(listenPort), { withinMs: 10_000 });
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
