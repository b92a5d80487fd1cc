// Unmodified docker CLIs at the server's end of the tunnel, an agent with a real engine at the other.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensurePackages, tunnelPackages } from '../../scripts/debian-packages.ts';
import { type AgentLab, createAgentLab, printLogsOnFailure } from '../support/agent-lab.ts';
import { createDockerCli, type DockerCli, findDockerClis, writeCliConfig } from '../support/docker-cli.ts';
import { callAgent } from '../support/lab/agent-client.ts';
import { busyboxImage } from '../support/lab/images.ts';
import { scaled } from '../support/scale.ts';
import { dial, startTunnelBed, type TunnelBed, type TunnelServer } from '../support/tunnel-bed.ts';
import { type TunnelledCli, tunnelCliCases } from '../support/tunnel-cli-cases.ts';
import { startChiselTunnelServer, startSshTunnelServer } from '../support/tunnel-servers.ts';

const labTimeoutMs = scaled(180_000, 300_000);
const wholeWithinMs = 30_000;
/** Hundreds of megabytes through a tunnel, beside whatever the machine does. */
const cliTimeoutMs = scaled(60_000, 120_000);

const servers: readonly (readonly [string, () => Promise<TunnelServer>])[] = [
  ['chisel', startChiselTunnelServer],
  ['OpenSSH', () => startSshTunnelServer()],
];

describe('the docker CLI through a tunnel', function () {
  this.timeout(labTimeoutMs);
  let agents: AgentLab;
  let scratch: string;

  before(async () => {
    ensurePackages(tunnelPackages);
    scratch = mkdtempSync(join(tmpdir(), 'flotilla-tunnel-'));
    agents = await createAgentLab({ nodes: 1, swarm: false });
    agents.startAll();
    await agents.whole(wholeWithinMs);
    const script = 'echo out; exec sleep 100000';
    await agents.node(1).docker(['run', '-d', '--name', 'box', busyboxImage, 'sh', '-c', script]);
  });

  after(async () => {
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
    await agents?.[Symbol.asyncDispose]();
  });

  printLogsOnFailure(() => agents);

  for (const [name, startServer] of servers) {
    for (const cli of findDockerClis()) {
      describe(`to ${name}, ${cli.version}`, () => {
        let bed: TunnelBed;
        let docker: DockerCli;
        let folder: string;

        before(async () => {
          const { address } = agents.node(1);
          bed = await startTunnelBed({ startServer, dialLocal: () => dial(9_001, address) });
          await bed.opened();
          folder = join(scratch, `${name}-${cli.version}`);
          const { certificatePem } = await callAgent({ address, path: '/ping', signer: agents.signer });
          writeCliConfig(folder, { headers: agents.signer.headers(), certificatePem });
          const host = `tcp://127.0.0.1:${bed.order.port}`;
          docker = createDockerCli({
            binary: cli.path,
            host,
            configDir: folder,
            arguments: ['--tls'],
            timeoutMs: cliTimeoutMs,
          });
        });

        after(async () => {
          await bed?.[Symbol.asyncDispose]();
        });

        const cases = (): TunnelledCli => ({
          docker,
          engine: agents.node(1).docker,
          folder,
          connections(): number {
            const state = bed.tunnel.state();
            assert.equal(state.kind, 'open');
            return state.kind === 'open' ? state.channels : -1;
          },
          // The tunnel is in this process.
          watchMemory(): () => number {
            const before = process.memoryUsage().rss;
            return () => process.memoryUsage().rss - before;
          },
        });
        tunnelCliCases(cases, { halfCloses: true });
      });
    }
  }
});
