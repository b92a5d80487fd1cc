// Waits for agents: until a cluster is whole, and from the start of one to its first answer.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { eventually } from '../test/support/eventually.ts';
import { callAgent } from '../test/support/lab/agent-client.ts';
import { type LabAgent, startAgent } from '../test/support/lab/agents.ts';
import type { LabNode } from '../test/support/lab/node.ts';
import type { Signer } from '../test/support/signer.ts';

const starts = 4;

export async function waitForMembers({ node }: LabAgent, signer: Signer, members: number): Promise<void> {
  await eventually(
    async () => {
      const { body } = await callAgent({ address: node.address, path: '/agents', signer });
      const found: unknown = JSON.parse(body);
      if (!Array.isArray(found) || found.length !== members) throw new Error(`members: ${body}`);
    },
    { withinMs: 30_000 },
  );
}

/**
 * From the fork to the answer of `/ping`, milliseconds; the best of some, because the machine has other things to do. With
 * V8's cache, as in the image: the first start fills it.
 */
export async function firstAnswerMs(node: LabNode): Promise<number> {
  const cache = await mkdtemp(join(tmpdir(), 'compile-cache-'));
  try {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < starts; i += 1) {
      const startedMs = performance.now();
      const agent = startAgent(node, { env: { LOG_LEVEL: 'ERROR', NODE_COMPILE_CACHE: cache } });
      await eventually(() => ping(node.address), { withinMs: 10_000, everyMs: 5 });
      best = Math.min(best, performance.now() - startedMs);
      await agent.stop();
    }
    return best;
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
}

function ping(host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port: 9001, rejectUnauthorized: false, timeout: 1_000 });
    socket.on('error', reject);
    socket.on('timeout', () => socket.destroy(new Error('ping: timeout')));
    socket.on('secureConnect', () =>
      socket.write('GET /ping HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n'),
    );
    socket.on('data', (bytes) => {
      socket.destroy();
      if (bytes.toString('latin1').startsWith('HTTP/1.1 204')) resolve();
      else reject(new Error('ping: not 204'));
    });
  });
}
