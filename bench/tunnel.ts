// `npm run bench:tunnel [-- <rounds>]`: both kinds of tunnel beside OpenSSH's own `ssh -R`, in one run. Ends with 1 when one
// misses what is wanted of it. The chisel server is one of Go's SSH library, as Portainer's. Needs root on Debian.
// Ratios are what counts: they take turns, and each one's best turn is compared, as other work of the machine hits all.

import { ensurePackages, goPackages, tunnelPackages } from '../scripts/debian-packages.ts';
import { startGoChiselServer } from '../test/support/chisel-go/chisel-go.ts';
import { freePort } from '../test/support/free-port.ts';
import { startOpenSsh } from '../test/support/openssh.ts';
import { dial, startTunnelBed } from '../test/support/tunnel-bed.ts';
import { startSshTunnelServer } from '../test/support/tunnel-servers.ts';
import type { TunnelLoad } from './tunnel-load.ts';
import { start } from './tunnel-process.ts';

const rounds = Number(process.argv[2] ?? 5);
/** Of OpenSSH's throughput, and times its median latency. */
const leastThroughput = 0.6;
const mostLatency = 1.5;

interface Subject {
  readonly name: string;
  readonly port: number;
  readonly loads: TunnelLoad[];
}

interface Figures {
  readonly name: string;
  readonly megabytesPerSecond: number;
  readonly p50Ms: number;
  /** Of all rounds. */
  readonly lost: number;
}

interface Verdict {
  readonly rows: readonly string[];
  readonly met: boolean;
}

/** The reference comes first. */
async function measure(): Promise<readonly Figures[]> {
  await using source = await start<{ readonly port: number }>('tunnel-source.ts');
  const { port: sourcePort } = source.said;
  await using openSsh = await startOpenSsh();
  const reversePort = await freePort();
  await using _reverse = await openSsh.reverse(reversePort, sourcePort);
  const near = { dialLocal: () => dial(sourcePort), direct: true };
  await using ssh = await startTunnelBed({ ...near, startServer: () => startSshTunnelServer() });
  await using chisel = await startTunnelBed({ ...near, startServer: startGoChiselServer });
  await ssh.opened();
  await chisel.opened();
  const subjects: readonly Subject[] = [
    { name: 'ssh -R', port: reversePort, loads: [] },
    { name: 'tunnel over SSH', port: ssh.order.port, loads: [] },
    { name: 'tunnel over chisel', port: chisel.order.port, loads: [] },
  ];
  for (let round = 0; round < rounds; round += 1) {
    for (const { port, loads } of subjects) {
      await using load = await start<TunnelLoad>('tunnel-load.ts', String(port));
      loads.push(load.said);
    }
  }
  return subjects.map(toFigures);
}

function toFigures({ name, loads }: Subject): Figures {
  return {
    name,
    megabytesPerSecond: Math.max(...loads.map((load) => load.megabytesPerSecond)),
    p50Ms: Math.min(...loads.map((load) => load.p50Ms)),
    lost: loads.reduce((sum, load) => sum + load.lost, 0),
  };
}

function judge(ours: Figures, reference: Figures): Verdict {
  const throughput = ours.megabytesPerSecond / reference.megabytesPerSecond;
  const latency = ours.p50Ms / reference.p50Ms;
  const row = (...cells: readonly string[]): string => `| ${[ours.name, ...cells].join(' | ')} |`;
  const figures = (key: 'megabytesPerSecond' | 'p50Ms', ratio: number): readonly string[] =>
    [ours[key], reference[key], ratio].map((figure) => figure.toFixed(2));
  return {
    rows: [
      row('throughput, MB/s', ...figures('megabytesPerSecond', throughput), `≥ ${leastThroughput}`),
      row('latency p50, ms', ...figures('p50Ms', latency), `≤ ${mostLatency}`),
      row(
        `lost of ${rounds} x 500 requests, 50 at a time`,
        String(ours.lost),
        String(reference.lost),
        '',
        '0',
      ),
    ],
    met: throughput >= leastThroughput && latency <= mostLatency && ours.lost === 0,
  };
}

ensurePackages([...tunnelPackages, ...goPackages]);
const [reference, ...others] = await measure();
if (reference === undefined) throw new Error('bench: nothing was measured');
const verdicts = others.map((ours) => judge(ours, reference));
process.stdout.write(
  [
    '| | | tunnel | ssh -R | ratio | wanted |',
    '| --- | --- | --- | --- | --- | --- |',
    ...verdicts.flatMap(({ rows }) => rows),
    '',
  ].join('\n'),
);
const missed = others.filter((_each, at) => verdicts[at]?.met !== true).map(({ name }) => name);
if (missed.length > 0) {
  process.stderr.write(`missed by: ${missed.join(', ')}\n`);
  process.exitCode = 1;
}
