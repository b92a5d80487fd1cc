// Runs real docker CLIs against an agent, as their users do: by TCP or by a unix socket, with what their settings say.
// Output is kept as bytes; whatever a command does, it ends at its deadline.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { eventually } from './eventually.ts';
import { collectOutput } from './lab/command.ts';

export interface CliBinary {
  readonly path: string;
  /** As it calls itself, for the names of tests. */
  readonly version: string;
  /** The CLI speaks BuildKit with its engine itself; newer ones need a plugin for it. */
  readonly hasBuildKit: boolean;
}

export interface CliResult {
  /** -1 when it was killed at its deadline. */
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface CliOptions {
  /** Written to standard input, which is then closed. Default: closed at once. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The command is killed after this long. Default: that of the CLI. */
  readonly timeoutMs?: number;
}

/** A command in progress. Disposing kills it. */
export interface CliProcess extends AsyncDisposable {
  readonly stdin: NodeJS.WritableStream;
  /** What it wrote so far, standard error included. */
  said(): string;
  /** Waits until it has written this. */
  says(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  readonly ended: Promise<CliResult>;
}

export interface DockerCli {
  /** Runs a command to its end, whatever its exit code. */
  run(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  /** Standard output of a command that must succeed, without the white space around it. */
  text(args: readonly string[], options?: CliOptions): Promise<string>;
  start(args: readonly string[], options?: Omit<CliOptions, 'input'>): CliProcess;
  /** The same in a terminal of its own. */
  startInTerminal(args: readonly string[], size: TerminalSize): CliProcess;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface DockerCliOptions {
  readonly binary: string;
  /** As in `DOCKER_HOST`. */
  readonly host: string;
  /** Made by `writeCliConfig`. */
  readonly configDir: string;
  /** In front of every command. */
  readonly arguments?: readonly string[];
  /** A command is killed after this long. Default: 28 s. */
  readonly timeoutMs?: number;
}

/** An engine that does much else takes many seconds for what it does at once by itself. */
const commandTimeoutMs = 28_000;
const saysWithinMs = 25_000;

const debianCli = '/usr/bin/docker';

/** Debian's docker CLI, which must be there, and every other one on PATH. */
export function findDockerClis(): readonly CliBinary[] {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'docker'));
  const found = [debianCli, ...onPath.filter((file) => existsSync(file))];
  return [...new Set(found.map((file) => realpathSync(file)))].map((path) => {
    const told = execFileSync(path, ['--version'], { encoding: 'utf8' });
    const version = /version (\d+\.[\w.]+)/.exec(told)?.[1] ?? 'of unknown version';
    return { path, version, hasBuildKit: Number.parseInt(version, 10) < 23 };
  });
}

export interface CliConfig {
  readonly headers: Readonly<Record<string, string>>;
  /** With `--tls` alone the CLI wants a ca.pem beside its settings, and verifies nothing by it. */
  readonly certificatePem?: string;
}

export function writeCliConfig(folder: string, { headers, certificatePem }: CliConfig): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (certificatePem !== undefined) writeFileSync(join(folder, 'ca.pem'), certificatePem);
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ HttpHeaders: headers }), { mode: 0o600 });
}

export function createDockerCli(options: DockerCliOptions): DockerCli {
  const { binary, host, configDir } = options;
  const argv = [binary, ...(options.arguments ?? []), '-H', host];
  // Nothing of this machine's own docker settings; a DOCKER_API_VERSION would hide the negotiation.
  // DOCKER_CONFIG and not `--config`: the CLI looks for ca.pem before it has read its command line.
  const env = { PATH: process.env.PATH, HOME: configDir, DOCKER_CONFIG: configDir };
  const start = (command: readonly string[], { cwd, ...extra }: CliOptions = {}): CliProcess =>
    startProcess(command, {
      cwd,
      env: { ...env, ...extra.env },
      timeoutMs: extra.timeoutMs ?? options.timeoutMs,
    });
  const run: DockerCli['run'] = async (args, cliOptions) => {
    await using command = start([...argv, ...args], cliOptions);
    command.stdin.end(cliOptions?.input ?? '');
    return await command.ended;
  };
  return {
    run,
    async text(args, cliOptions): Promise<string> {
      const { code, stdout, stderr } = await run(args, cliOptions);
      if (code !== 0) throw new Error(`docker ${args.join(' ')}: exit code ${code}: ${stderr}${stdout}`);
      return stdout.toString().trim();
    },
    start: (args, cliOptions) => start([...argv, ...args], cliOptions),
    startInTerminal(args, { rows, columns }): CliProcess {
      const line = `stty rows ${rows} cols ${columns}; ${[...argv, ...args].map(quote).join(' ')}`;
      // Part of every Debian. Returns the command's exit code, leaves no file and no banner.
      return start(['script', '--quiet', '--return', '--command', line, '/dev/null']);
    },
  };
}

interface StartOptions {
  readonly cwd: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number | undefined;
}

function startProcess([file = '', ...args]: readonly string[], options: StartOptions): CliProcess {
  const { cwd, env, timeoutMs = commandTimeoutMs } = options;
  const child = spawn(file, args, {
    cwd,
    env,
    stdio: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const stdout = collectOutput(child.stdout);
  const stderr = collectOutput(child.stderr);
  // A command may end without reading its input; its exit code then says more than EPIPE.
  child.stdin.on('error', () => undefined);
  const ended = endOf(child, stdout, stderr);
  const said = (): string => `${stdout()}${stderr()}`;
  return {
    stdin: child.stdin,
    ended,
    said,
    says(pattern, withinMs = saysWithinMs): Promise<RegExpExecArray> {
      const look = (): RegExpExecArray => {
        const match = pattern.exec(said());
        if (match === null) throw new Error(`docker did not say ${pattern}, but: ${said()}`);
        return match;
      };
      return eventually(look, { withinMs });
    },
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function endOf(child: ChildProcess, stdout: () => Buffer, stderr: () => Buffer): Promise<CliResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CliResult>();
  child.on('error', reject);
  child.on('close', (code) => resolve({ code: code ?? -1, stdout: stdout(), stderr: stderr().toString() }));
  return promise;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
