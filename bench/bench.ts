// `npm run bench`: how fast the agent is beside the engine itself, plain TLS proxies and http-proxy, in one run on one lab.
// Ratios are what counts: the same machine gives other milliseconds in the next minute. `--save` writes the report.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages, labPackages } from '../scripts/debian-packages.ts';
import { type LabAgent, startAgent } from '../test/support/lab/agents.ts';
import { createLab, type Lab } from '../test/support/lab/lab.ts';
import { createSigner, type Signer } from '../test/support/signer.ts';
import { firstAnswerMs, waitForMembers } from './agent-start.ts';
import { measureListScale } from './merged-list-scale.ts';
import { memoryOf } from './process-memory.ts';
import { startProxies } from './proxies.ts';
import { createReport, type Report } from './report.ts';
import { measureRoutedCalls } from './routed-calls.ts';
import { type LoadTarget, load } from './wrk.ts';

const engineTcpPort = 2375;
const containersPerNode = 20;
const eachAlone = fileURLToPath(new URL('each-alone.lua', import.meta.url));
const onlyOnSecond = 'only-on-node-2';
const long = process.argv.includes('--save');
const secondsPerLoad = long ? 4 : 2;
/** The subjects take turns, and each one's best turn counts: what else the machine does hits them all alike. */
const rounds = long ? 4 : 3;

async function bench(): Promise<Report> {
  const report = createReport();
  await using lab = await createLab({ nodes: 3, swarm: true, engineTcpPort });
  await runContainers(lab);
  const seeds = lab.nodes.map(({ address }) => `${address}:7947`).join(',');
  const agents = lab.nodes.map((node) =>
    startAgent(node, { env: { FLOTILLA_CLUSTER_SECRET: 'bench', FLOTILLA_SEEDS: seeds, LOG_LEVEL: 'INFO' } }),
  );
  const signer = createSigner();
  const [agent] = agents;
  if (agent === undefined) throw new Error('bench: no agent');
  await waitForMembers(agent, signer, lab.nodes.length);
  await measureIdle(report, agents);
  await measureProxying(report, lab, signer);
  await measureLists(report, lab, signer);
  report.routed(await measureRoutedCalls([lab.node(1), lab.node(2), lab.node(3)], onlyOnSecond));
  report.memory('loaded', await memoryOf(agent.pid));
  await Promise.all(agents.map((each) => each.stop()));
  report.start(await firstAnswerMs(lab.node(1)));
  report.lists(await measureListScale());
  return report;
}

async function runContainers(lab: Lab): Promise<void> {
  await Promise.all(
    lab.nodes.map(async (node) => {
      for (let i = 0; i < containersPerNode; i += 1) {
        const name = node === lab.node(2) && i === 0 ? onlyOnSecond : `bench-${i}`;
        const options = ['-d', '--network', 'none', '--name', name];
        await node.docker(['run', ...options, 'busybox:lab', 'sleep', '86400']);
      }
    }),
  );
}

/** After the start's garbage has gone: an operator sees the agent hours later. */
const settleMs = 15_000;

async function measureIdle(report: Report, [agent]: readonly LabAgent[]): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  if (agent !== undefined) report.memory('idle', await memoryOf(agent.pid));
}

async function measureProxying(report: Report, lab: Lab, signer: Signer): Promise<void> {
  const node = lab.node(1);
  await using proxies = await startProxies(node);
  const headers = signer.headers();
  for (const path of ['/_ping', '/version']) {
    await measureInTurns(report, path, [
      { name: 'engine', url: `http://${node.address}:${engineTcpPort}${path}` },
      { name: 'Flotilla', url: `https://${node.address}:9001${path}`, headers },
      {
        name: 'Flotilla, nothing shared',
        url: `https://${node.address}:9001${path}`,
        headers,
        script: eachAlone,
      },
      ...Object.entries(proxies.ports).map(([name, port]) => ({
        name,
        url: `https://${node.address}:${port}${path}`,
      })),
    ]);
  }
}

async function measureLists(report: Report, lab: Lab, signer: Signer): Promise<void> {
  const { address } = lab.node(1);
  const path = '/containers/json?all=1';
  await measureInTurns(report, 'merged list', [
    { name: 'engine', url: `http://${address}:${engineTcpPort}${path}` },
    { name: 'Flotilla', url: `https://${address}:9001${path}`, headers: signer.headers() },
  ]);
}

async function measureInTurns(report: Report, what: string, targets: readonly LoadTarget[]): Promise<void> {
  for (const connections of [1, 16]) {
    for (let round = 0; round < rounds; round += 1) {
      for (const target of targets) {
        report.load(what, connections, target.name, await load(target, connections, secondsPerLoad));
      }
    }
  }
}

ensurePackages([
  ...labPackages,
  { command: 'nginx', name: 'nginx-light' },
  { command: 'haproxy', name: 'haproxy' },
  { command: 'wrk', name: 'wrk' },
]);
const report = await bench();
process.stdout.write(report.text());
if (long) {
  const folder = fileURLToPath(new URL('results/', import.meta.url));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${new Date().toISOString().slice(0, 10)}.md`), report.text());
}
process.exitCode = report.met() ? 0 : 1;
