// `npm run demo`: a Swarm of three real engines on this machine, the agent deployed on it as a stack, and commands to try.
// The lab stays until `npm run demo -- down`. Needs root on Debian; every wait has a bound.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { callAgent, getJson } from '../test/support/lab/agent-client.ts';
import { busyboxImage, nodeImage } from '../test/support/lab/images.ts';
import { createLab, type Lab } from '../test/support/lab/lab.ts';
import { planLab } from '../test/support/lab/plan.ts';
import { removeLabsNamed } from '../test/support/lab/reaper.ts';
import { buildAgentImage, deployStack, stackName, waitForStack } from '../test/support/lab/stack.ts';
import { listLabs } from '../test/support/lab/state.ts';
import { setLinks } from '../test/support/lab/switch.ts';
import { createSigner, type Signer } from '../test/support/signer.ts';
import { ensurePackages } from './debian-packages.ts';

/** A test runs a demo of its own beside one that somebody looks at. */
const labName = process.env.FLOTILLA_DEMO_NAME ?? 'demo';
const nodeCount = 3;

const [command = 'up', ...rest] = process.argv.slice(2);
try {
  await run();
} catch (error) {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    process.stderr.write(`${cause.message}\n`);
  process.exitCode = 1;
}

async function run(): Promise<void> {
  switch (`${command} ${rest.length}`) {
    case 'up 0':
      return up();
    case 'down 0':
      return down();
    case 'cut 1':
      return cutOff(rest);
    case 'reconnect 0':
      return cutOff([]);
    default:
      throw new Error('usage: npm run demo [-- up | down | cut node-2 | reconnect]');
  }
}

async function up(): Promise<void> {
  ensurePackages();
  if ((await removeLabsNamed(labName)) > 0) print('Removed the demo that was running.');
  print(`Starting ${nodeCount} Docker engines, each in a network namespace of its own, as one Swarm.`);
  const images = [busyboxImage, nodeImage] as const;
  const lab = await createLab({ nodes: nodeCount, swarm: true, name: labName, images });
  try {
    await buildAgentImage(lab.nodes);
    print('Deploying deploy/stack.yml.');
    await deployStack(lab.node(1));
    await Promise.all(lab.nodes.flatMap((node) => ['web', 'worker'].map((name) => runBox(node, name))));
    const signer = createSigner();
    await waitForStack(lab, signer);
    await showContainers(lab, signer);
    printCommands(lab, await writeCliConfigs(lab, signer));
    lab.leaveRunning();
  } catch (error) {
    print('The demo failed; removing it.');
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

async function down(): Promise<void> {
  const removed = await removeLabsNamed(labName);
  print(
    removed === 0 ? 'No demo is running.' : 'The demo is removed: engines, networks, images and folders.',
  );
}

/** Cuts off these nodes and no others. */
async function cutOff(names: readonly string[]): Promise<void> {
  const state = listLabs().find(({ name }) => name === labName);
  if (state === undefined) throw new Error('no demo is running: npm run demo');
  const plan = planLab(state.number, state.nodes);
  const unknown = names.filter((name) => plan.nodes.every((node) => node.name !== name));
  if (unknown.length > 0)
    throw new Error(`no node ${unknown.join()}: there are ${plan.nodes.map(nameOf).join(', ')}`);
  await setLinks(
    plan,
    plan.nodes.map((node) => ({ port: node.port, cut: names.includes(node.name), lossPercent: 0 })),
  );
  print(
    names.length === 0 ? 'All nodes are connected.' : `Every packet to and from ${names.join()} is dropped.`,
  );
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

async function runBox(node: Lab['nodes'][number], name: string): Promise<void> {
  const script =
    'trap "exit 0" TERM; n=0; while :; do n=$((n+1)); echo "$(hostname) says $n"; sleep 1 & wait $!; done';
  const options = ['--detach', '--name', `${name}-${node.name.slice(-1)}`, '--hostname', node.name];
  await node.docker(['run', ...options, busyboxImage, 'sh', '-c', script]);
}

/** What the Engine API answers in a list, as far as it is shown. */
interface ListedContainer {
  readonly Names?: readonly string[];
  readonly Image?: string;
  readonly Status?: string;
  readonly Portainer?: { readonly Agent?: { readonly NodeName?: string } };
}

async function showContainers(lab: Lab, signer: Signer): Promise<void> {
  const { address, name } = lab.node(1);
  // The shape is the Engine API's; what is missing shows as a question mark.
  const listed = (await getJson({ address, path: '/containers/json', signer })) as readonly ListedContainer[];
  print(`\nContainers of all nodes, as the agent on ${name} (${address}:9001) lists them:\n`);
  const rows = listed.map((container) => [
    container.Portainer?.Agent?.NodeName ?? '?',
    (container.Names?.[0] ?? '?').replace(/^\//, ''),
    container.Image ?? '?',
    container.Status ?? '?',
  ]);
  for (const row of [['NODE', 'NAME', 'IMAGE', 'STATUS'], ...rows.toSorted(byText)]) {
    print(`  ${row.map((cell, at) => cell.slice(0, 44).padEnd([10, 46, 16, 0][at] ?? 0)).join('')}`);
  }
}

function byText(a: readonly string[], b: readonly string[]): number {
  return a.join(' ').localeCompare(b.join(' '));
}

/** One folder of docker CLI settings for the whole cluster, and one per node. Returns the folder that holds them. */
async function writeCliConfigs(lab: Lab, signer: Signer): Promise<string> {
  const folder = join(dirname(lab.stateFile), 'cli');
  const { certificatePem } = await callAgent({ address: lab.node(1).address, path: '/ping', signer });
  const write = (name: string, headers: Readonly<Record<string, string>>): void => {
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
    // With --tls the CLI wants a ca.pem beside its settings, and does not verify anything by it.
    writeFileSync(join(folder, name, 'ca.pem'), certificatePem);
    const config = { HttpHeaders: { ...signer.headers(), ...headers } };
    writeFileSync(join(folder, name, 'config.json'), JSON.stringify(config, undefined, 2), { mode: 0o600 });
  };
  write('cluster', {});
  for (const node of lab.nodes) write(node.name, { 'X-PortainerAgent-Target': node.name });
  write('manager', { 'X-PortainerAgent-ManagerOperation': '1' });
  return folder;
}

function printCommands(lab: Lab, folder: string): void {
  const docker = (name: string): string =>
    `DOCKER_CONFIG=${folder}/${name} docker --tls -H tcp://${lab.node(1).address}:9001`;
  print(`
Every node answers for all. Through the agent on node-1:

  ${docker('cluster')} ps
  ${docker('node-2')} run --rm --network host ${busyboxImage} hostname
  ${docker('node-3')} logs -f worker-3
  ${docker('node-2')} exec -it web-2 sh
  ${docker('manager')} node ls
  ${docker('manager')} service ps ${stackName}_agent

See what happens when a node goes silent, and comes back:

  npm run demo -- cut node-3
  npm run demo -- reconnect

To call an agent yourself, sign as Portainer does; two headers are in ${folder}/cluster/config.json.
A Portainer server adds the environment "Docker Swarm, Agent" with the address ${lab.node(1).address}:9001.

When you are done:  npm run demo -- down
`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
