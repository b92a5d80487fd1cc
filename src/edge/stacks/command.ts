// Runs a program without a shell, for a bounded time, with bounded output. When the wait is over, so is the program.

import { spawn } from 'node:child_process';
import { AgentError } from '../../errors.ts';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly timeoutMs: number;
}

export interface CommandResult {
  /** Undefined: it was ended by a signal. */
  readonly code: number | undefined;
  readonly output: string;
  /** The end of what it said of errors. */
  readonly errors: string;
}

export type RunCommand = (command: Command, signal: AbortSignal) => Promise<CommandResult>;

/** Lists of containers and tasks; a node with a thousand containers needs a tenth. */
const maxOutputBytes = 1024 * 1024;
/** Progress bars come before the reason. */
const maxErrorBytes = 16 * 1024;
/** Between asking a program to end and ending it. */
const graceMs = 5_000;
/** For what a program said before it ended. */
const drainMs = 500;

/** Rejects with `unavailable` when it cannot be run, `timeout`, `limit-exceeded`, or `cancelled`. */
export const runCommand: RunCommand = async (command, signal) => {
  const { file, args, env, folder, timeoutMs } = command;
  const attempted = `run ${file} ${args[0] ?? ''}`.trim();
  if (signal.aborted) throw new AgentError('cancelled', `${attempted}: given up`);
  const child = spawn(file, args, { cwd: folder, env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = Promise.withResolvers<number | undefined>();
  child.once('error', (error) =>
    ended.reject(new AgentError('unavailable', `${attempted}: ${error.message}`, { cause: error })),
  );
  let drain: NodeJS.Timeout | undefined;
  child.once('close', (code) => ended.resolve(code ?? undefined));
  child.once('exit', (code) => {
    // A program that it left behind may hold its pipes for ever.
    drain = setTimeout(() => ended.resolve(code ?? undefined), drainMs);
  });
  let output = '';
  let errors = '';
  let failure: AgentError | undefined;
  let kill: NodeJS.Timeout | undefined;
  const end = (reason: AgentError): void => {
    failure ??= reason;
    child.kill('SIGTERM');
    kill ??= setTimeout(() => child.kill('SIGKILL'), graceMs);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.length > maxOutputBytes)
      end(new AgentError('limit-exceeded', `${attempted}: its output is too long`));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-maxErrorBytes);
  });
  const onAbort = (): void => end(new AgentError('cancelled', `${attempted}: given up`));
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(
    () => end(new AgentError('timeout', `${attempted}: not done in ${timeoutMs / 1_000} s`)),
    timeoutMs,
  );
  try {
    const code = await ended.promise;
    if (failure !== undefined) throw failure;
    return { code, output, errors };
  } finally {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(timer);
    clearTimeout(kill);
    clearTimeout(drain);
    child.stdout.destroy();
    child.stderr.destroy();
  }
};
