// `node bench/tunnel.ts`: the tunnel beside OpenSSH's own `ssh -R` to the same server, in one run. Needs root on Debian.
// Ratios are what counts: they take turns, and each one's best turn is compared, as other work of the machine hits all.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensurePackages, tunnelPackages } from '../scripts/debian-packages.ts';
import { startOpenSsh } from '../test/support/openssh.ts';
import { dial, freePort, startTunnelBed } from '../test/support/tunnel-bed.ts';
import { startSshTunnelServer } from '../test/support/tunnel-servers.ts';
import type { TunnelLoad } from './tunnel-load.ts';

const rounds = 5;
/** Of OpenSSH's throughput, and times its median latency. */
const leastThroughput = 0.6;
const mostLatency = 1.5;

function run(script: string, ...args: readonly string[]): ChildProcess {
  const file = fileURLToPath(new URL(script, import.meta.url));
  return spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The first line that it prints, as JSON. */
async function told(child: ChildProcess): Promise<unknown> {
  if (child.stdout === null) throw new Error('bench: a child without output');
  const [line] = await once(createInterface(child.stdout), 'line');
  return JSON.parse(String(line));
}

async function load(port: number): Promise<TunnelLoad> {
  // Our own script.
  return (await told(run('tunnel-load.ts', String(port)))) as TunnelLoad;
}

ensurePackages(tunnelPackages);
const source = run('tunnel-source.ts');
const { port: sourcePort } = (await told(source)) as { readonly port: number };
let met = true;
try {
  await using openSsh = await startOpenSsh();
  const reversePort = await freePort();
  await using _reverse = await openSsh.reverse(reversePort, sourcePort);
  await using bed = await startTunnelBed({
    startServer: () => startSshTunnelServer(),
    dialLocal: () => dial(sourcePort),
    direct: true,
  });
  await bed.opened();
  const ours: TunnelLoad[] = [];
  const theirs: TunnelLoad[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await load(bed.order.port));
    theirs.push(await load(reversePort));
  }
  const throughput = best(ours, 'megabytesPerSecond') / best(theirs, 'megabytesPerSecond');
  const latency = best(ours, 'p50Ms') / best(theirs, 'p50Ms');
  const lost = ours.reduce((sum, each) => sum + each.lost, 0);
  met = throughput >= leastThroughput && latency <= mostLatency && lost === 0;
  process.stdout.write(
    [
      '| | tunnel | ssh -R | ratio | wanted |',
      '| --- | --- | --- | --- | --- |',
      row('throughput, MB/s', ours, theirs, 'megabytesPerSecond', `≥ ${leastThroughput}`),
      row('latency p50, ms', ours, theirs, 'p50Ms', `≤ ${mostLatency}`),
      `| lost of ${rounds} x 500 requests, 50 at a time | ${lost} | | | 0 |`,
      '',
    ].join('\n'),
  );
} finally {
  source.kill();
}
process.exitCode = met ? 0 : 1;

type Figure = 'megabytesPerSecond' | 'p50Ms';

function best(loads: readonly TunnelLoad[], figure: Figure): number {
  const values = loads.map((each) => each[figure]);
  return figure === 'p50Ms' ? Math.min(...values) : Math.max(...values);
}

function row(
  name: string,
  ours: readonly TunnelLoad[],
  theirs: readonly TunnelLoad[],
  figure: Figure,
  wanted: string,
): string {
  const [a, b] = [best(ours, figure), best(theirs, figure)];
  return `| ${name} | ${a.toFixed(2)} | ${b.toFixed(2)} | ${(a / b).toFixed(2)} | ${wanted} |`;
}
