// Runs `flotilla` as a process, as people do, and a control socket that answers it as the test says.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const program: string = join(import.meta.dirname, '../../src/flotilla.ts');
const runTimeoutMs = 15_000;

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export function flotilla(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: runTimeoutMs };
    execFile(process.execPath, [program, ...argv], options, (error, out, err) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ code, out, err });
    });
  });
}

/** A control socket that answers each path with a fixed status and value. */
export async function withControlSocket(
  answers: Readonly<Record<string, readonly [number, unknown]>>,
  test: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cli-'));
  const path = join(folder, 'control.sock');
  const server = createServer((req, res) => {
    const [status, value] = answers[`${req.method} ${req.url}`] ?? [404, { error: 'no such command' }];
    res.writeHead(status).end(JSON.stringify(value));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await test(path);
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
