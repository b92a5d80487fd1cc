// Scripts of this folder as processes of their own, which print what they have to say as one line of JSON.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Started<T> extends AsyncDisposable {
  readonly said: T;
}

/** Resolves with the first line; rejects when the process ends without one. It ends when disposed. */
export async function start<T>(script: string, ...args: readonly string[]): Promise<Started<T>> {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  return {
    // Our own script.
    said: JSON.parse(await firstLine(child, script)) as T,
    [Symbol.asyncDispose]: () => end(child),
  };
}

async function firstLine({ stdout }: ChildProcess, script: string): Promise<string> {
  if (stdout !== null) for await (const line of createInterface({ input: stdout })) return line;
  throw new Error(`bench: ${script} ended without a word`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}
