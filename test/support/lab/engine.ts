// One Docker engine of a node: started in the node's namespaces, asked whether it answers, stopped or killed.
// It owns no state but the process; data and socket lie in the node's folder, so a restart finds them.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';

import { waitFor } from './wait.ts';

export interface EngineOptions {
  /** Enters the node's namespaces; put before the command. */
  readonly enter: readonly string[];
  readonly dir: string;
  readonly socket: string;
  readonly cgroup: string;
  /** Also listen here, without any protection: `tcp://address:port`. */
  readonly tcp: string | undefined;
}

export interface Engine {
  readonly pid: number;
  /** SIGTERM: containers are stopped first, which takes up to 10 s for those that do not listen. */
  stop(): Promise<void>;
  /** SIGKILL to the engine alone. Containers go on, as they do in real life. */
  kill(): Promise<void>;
}

const answersWithinMs = 40_000;
const stopsWithinMs = 30_000;
const pingTimeoutMs = 2_000;
/** OVERLAYFS_SUPER_MAGIC of linux/magic.h. */
const overlayMagic = 0x794c7630;

export async function startEngine(options: EngineOptions): Promise<Engine> {
  const logFile = join(options.dir, 'dockerd.log');
  const configFile = join(options.dir, 'daemon.json');
  writeFileSync(configFile, '{}');
  removePidFiles(options.socket);
  const log = openSync(logFile, 'a');
  const [file = 'nsenter', ...args] = [...options.enter, 'dockerd', ...engineArguments(options, configFile)];
  // Its own session: Ctrl-C at the terminal must reach the test, which then removes the lab in order.
  const child = spawn(file, args, { env: engineEnv(), stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  child.unref();
  const pid = child.pid;
  if (pid === undefined) throw new Error('start dockerd: it could not be run');
  const ended = new AbortController();
  child.on('exit', (code, signal) => ended.abort(new Error(`dockerd ended with ${code ?? signal}`)));
  try {
    const wait = { withinMs: answersWithinMs, signal: ended.signal };
    await waitFor('the engine', () => answers(options.socket), wait);
  } catch (cause) {
    child.kill('SIGKILL');
    throw new Error(`start dockerd: ${tailOf(logFile)}`, { cause });
  }
  return { pid, stop: () => end(child, 'SIGTERM'), kill: () => end(child, 'SIGKILL') };
}

function engineArguments({ dir, socket, cgroup, tcp }: EngineOptions, configFile: string): readonly string[] {
  return [
    `--config-file=${configFile}`,
    `--host=unix:///run/${socket.slice(socket.lastIndexOf('/') + 1)}`,
    ...(tcp === undefined ? [] : [`--host=${tcp}`, '--tls=false']),
    // An overlay cannot lie on another one, as it would in a container.
    `--storage-driver=${statfsSync(dir).type === overlayMagic ? 'vfs' : 'overlay2'}`,
    '--exec-opt=native.cgroupdriver=cgroupfs',
    // One folder of cgroups per node, so that the lab can find its containers and leave no cgroup behind.
    `--cgroup-parent=/${cgroup}`,
  ];
}

/** After a SIGKILL they name dead processes, which dockerd takes for live ones while they are not reaped. */
function removePidFiles(socket: string): void {
  for (const file of ['docker.pid', 'docker/containerd/containerd.pid']) {
    rmSync(join(dirname(socket), file), { force: true });
  }
}

/** Proxy settings of this machine would let the engine look outside. */
function engineEnv(): NodeJS.ProcessEnv {
  return { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, HOME: '/root' };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit', { signal: AbortSignal.timeout(stopsWithinMs) });
  // It was let go of, so that a forgotten lab keeps no process alive; now its end is waited for.
  child.ref();
  child.kill(signal);
  await exited;
}

/** One `/_ping` over the socket. */
function answers(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const ping = request({ socketPath, path: '/_ping', timeout: pingTimeoutMs }, (response) => {
    response.resume();
    resolve(response.statusCode === 200);
  });
  ping.on('timeout', () => ping.destroy());
  ping.on('error', () => resolve(false));
  ping.end();
  return promise;
}

function tailOf(logFile: string): string {
  return readFileSync(logFile, 'utf8').slice(-2_000);
}
