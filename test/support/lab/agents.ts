// Runs agents from source in the nodes of a lab, as processes that can be killed, frozen and started again.
// They listen on their node's address with the usual ports; the lab ends those that are left.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { LabNode } from './node.ts';

export interface LabAgentOptions {
  /** Added to the environment; beats what this file sets. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface LabAgent {
  readonly node: LabNode;
  readonly pid: number;
  /** Everything it wrote, as it wrote it. */
  log(): string;
  running(): boolean;
  signal(name: NodeJS.Signals): void;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
}

const entryPoint = fileURLToPath(new URL('../../../src/flotilla.ts', import.meta.url));
const stopTimeoutMs = 20_000;
const maxLogBytes = 16 * 1024 * 1024;

/** Its data stay on the node, so the next agent there has the same identity. */
export function startAgent(node: LabNode, { env }: LabAgentOptions = {}): LabAgent {
  const own = {
    LOG_MODE: 'JSON',
    LOG_LEVEL: 'DEBUG',
    // Not below /run, which a powered-off node loses.
    DATA_PATH: join(node.runDir, '..', 'data'),
    FLOTILLA_ADVERTISE_ADDR: node.address,
    FLOTILLA_HOST_ROOT: '/',
    // The Swarm of the node itself gossips on the agent's usual port.
    FLOTILLA_GOSSIP_PORT: '7947',
  };
  const script = process.env.FLOTILLA_TEST_BUNDLE ?? entryPoint;
  const child = node.spawn([process.execPath, script, 'agent'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...own, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = collectLog(child);
  const { pid } = child;
  if (pid === undefined) throw new Error(`start the agent of ${node.name}`);
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit', { signal: AbortSignal.timeout(stopTimeoutMs) });
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
  };
  return {
    node,
    pid,
    log,
    running: () => child.exitCode === null && child.signalCode === null,
    signal: (name) => void child.kill(name),
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
}

function collectLog(child: ChildProcess): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxLogBytes) chunks.push(chunk);
    });
  }
  return () => Buffer.concat(chunks).toString('utf8');
}
