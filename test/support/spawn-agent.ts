// Starts a real agent as a child process over a given engine, on free loopback ports, and ends it by its pid.
// The agent's addresses are read from its `listening` log events; its log is shown when a test failed.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { within } from './http-wire.ts';
import type { RawAddress } from './raw-http.ts';

/** One line of the agent's JSON log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };
export type Listener = 'compat' | 'peers' | 'metrics';

export interface SpawnAgentOptions {
  readonly engineSocket: string;
  /** Added to the environment; beats what this file sets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Kept after the end, for the agent that takes its place. Without it the agent has a folder of its own. */
  readonly dataPath?: string;
}

export interface SpawnedAgent extends AsyncDisposable {
  readonly pid: number;
  readonly compat: RawAddress & { readonly kind: 'tls' };
  readonly metrics: RawAddress & { readonly kind: 'tcp' };
  /** Fails when the agent did not say that it listens there. */
  peers(): RawAddress & { readonly kind: 'tls' };
  /** The control socket that the agent was given. */
  readonly controlSocket: string;
  /** The folder of its Docker sockets. */
  readonly socketDir: string;
  logLines(): readonly LogLine[];
  /** Everything it wrote, as it wrote it. */
  logText(): string;
  /** `VmRSS` of the process. */
  residentBytes(): Promise<number>;
  /** Freezes and thaws the process. */
  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL' | 'SIGTERM'): void;
  running(): boolean;
  /** Shows the log on stderr, for a test that failed. */
  printLog(): void;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
}

const startTimeoutMs = 30_000;
const stopTimeoutMs = 15_000;
const entryPoint = fileURLToPath(new URL('../../src/flotilla.ts', import.meta.url));

/** `FLOTILLA_TEST_BUNDLE` runs the bundle instead of the source. */
export function agentScript(): string {
  return process.env.FLOTILLA_TEST_BUNDLE ?? entryPoint;
}

export async function spawnAgent(options: SpawnAgentOptions): Promise<SpawnedAgent> {
  const folder = await mkdtemp(join(tmpdir(), 'agent-'));
  const controlSocket = join(folder, 'control.sock');
  const socketDir = join(folder, 'run');
  const child = spawn(process.execPath, [agentScript(), 'agent'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...cleanEnvironment(),
      AGENT_HOST: '127.0.0.1',
      AGENT_PORT: '0',
      LOG_MODE: 'JSON',
      LOG_LEVEL: 'DEBUG',
      DATA_PATH: options.dataPath ?? folder,
      FLOTILLA_ADVERTISE_ADDR: '127.0.0.1',
      FLOTILLA_CONTROL_SOCKET: controlSocket,
      FLOTILLA_DOCKER_SOCKET: options.engineSocket,
      FLOTILLA_GOSSIP_PORT: String(await freePort()),
      FLOTILLA_HOST_ROOT: folder,
      FLOTILLA_METRICS_ADDR: '127.0.0.1:0',
      FLOTILLA_PEER_PORT: '0',
      FLOTILLA_SOCKET_DIR: socketDir,
      ...options.env,
    },
  });
  const log = readLog(child);
  const exited = once(child, 'exit').then(([code]) => code as number | null);

  async function stop(): Promise<number | null> {
    if (child.exitCode === null && child.signalCode === null) {
      // A frozen process does not see SIGTERM.
      child.kill('SIGCONT');
      child.kill('SIGTERM');
    }
    try {
      return await within(exited, stopTimeoutMs);
    } catch {
      child.kill('SIGKILL');
      await exited;
      printLog();
      throw new Error(`agent ${child.pid} did not end within ${stopTimeoutMs} ms after SIGTERM`);
    }
  }

  function printLog(): void {
    process.stderr.write(`--- log of agent ${child.pid} ---\n${log.text()}--- end of the log ---\n`);
  }

  let compat: RawAddress & { readonly kind: 'tls' };
  let metrics: RawAddress & { readonly kind: 'tcp' };
  try {
    const started = eventually(
      () => ({ compat: address(log.lines(), 'compat'), metrics: address(log.lines(), 'metrics') }),
      { withinMs: startTimeoutMs },
    );
    const ended = exited.then((code) => {
      throw new Error(`agent ended at its start with code ${code}`);
    });
    // The end that a test asks for is none of the start's failures.
    ended.catch(() => undefined);
    const found = await Promise.race([started, ended]);
    compat = { kind: 'tls', ...found.compat };
    metrics = { kind: 'tcp', ...found.metrics };
  } catch (error) {
    printLog();
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const pid = child.pid ?? 0;

  return {
    pid,
    compat,
    metrics,
    peers: () => ({ kind: 'tls', ...address(log.lines(), 'peers') }),
    controlSocket,
    socketDir,
    logLines: log.lines,
    logText: log.text,
    async residentBytes() {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
    },
    signal: (name) => {
      child.kill(name);
    },
    running: () => child.exitCode === null && child.signalCode === null,
    printLog,
    stop,
    async [Symbol.asyncDispose]() {
      const killed = child.signalCode === 'SIGKILL';
      const code = await stop();
      await rm(folder, { recursive: true, force: true });
      if (code !== 0 && !killed) {
        printLog();
        throw new Error(`agent ${pid} ended with code ${code}`);
      }
    },
  };
}

/** Nothing of the environment of the tests may configure the agent. */
function cleanEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TZ', 'NODE_OPTIONS'];
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function readLog(child: ChildProcess): { lines: () => readonly LogLine[]; text: () => string } {
  const lines: LogLine[] = [];
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      text += `${line}\n`;
      const parsed = parseLine(line);
      if (parsed !== undefined) lines.push(parsed);
    });
  }
  return { lines: () => lines, text: () => text };
}

/** What is not JSON (a crash, a warning of the runtime) stays in the text only. */
function parseLine(line: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    // An object that came out of JSON is a record of unknown values.
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
}

function address(lines: readonly LogLine[], listener: Listener): { host: string; port: number } {
  const line = lines.find((one) => one.msg === 'listening' && one.listener === listener);
  if (line === undefined) throw new Error(`no listening event of ${listener} in the agent's log`);
  return { host: String(line.address), port: Number(line.port) };
}
