// Runs one command to its end, with a bound on time and output.
// A failure carries the command and what it said, because that is all a lab's user has to go by.

import { spawn } from 'node:child_process';

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Default: empty. */
  readonly input?: string | Uint8Array;
  /** The command is killed after this long. Default: 60 s. */
  readonly timeoutMs?: number;
  /** Return whatever the exit code is, instead of throwing. */
  readonly allowFailure?: boolean;
}

export interface CommandResult {
  /** -1 when the command was killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const defaultTimeoutMs = 60_000;
const maxOutputBytes = 64 * 1024 * 1024;

export function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file, ...args] = argv;
  if (file === undefined) throw new TypeError('no command given');
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const stdout = collectOutput(child.stdout);
  const stderr = collectOutput(child.stderr);
  // A command may leave without reading its input; its exit code then says more than EPIPE.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  child.on('error', (cause) => reject(new Error(`run ${argv.join(' ')}`, { cause })));
  child.on('close', (code, signal) => {
    const result = { code: code ?? -1, stdout: stdout().toString(), stderr: stderr().toString() };
    if (result.code === 0 || options.allowFailure === true) resolve(result);
    else reject(new Error(describeFailure(argv, result, signal, timeoutMs)));
  });
  return promise;
}

/** What came so far, and no more than a bound. */
export function collectOutput(stream: NodeJS.ReadableStream): () => Buffer {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxOutputBytes) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks);
}

function describeFailure(
  argv: readonly string[],
  result: CommandResult,
  signal: NodeJS.Signals | null,
  timeoutMs: number,
): string {
  const how = signal === null ? `exit code ${result.code}` : `${signal} (allowed ${timeoutMs} ms)`;
  const said = `${result.stderr}${result.stdout}`.trim().slice(-2_000);
  return `${argv.join(' ')}: ${how}${said === '' ? '' : `: ${said}`}`;
}
