// One node of a lab: a machine's worth of namespaces (network, mounts, host name) and the engine in them.
// A holder process keeps the namespaces, so that the node survives its engine.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { type CommandOptions, type CommandResult, runCommand } from './command.ts';
import { type Engine, startEngine } from './engine.ts';
import type { LabPlan, NodePlan } from './plan.ts';
import { killAllOf } from './processes.ts';
import type { Switch } from './switch.ts';

export interface DockerOptions extends CommandOptions {
  /** The docker binary. Default: Debian's. */
  readonly cli?: string;
}

export interface LabNode {
  /** Also its host name, and so its name in the Swarm. */
  readonly name: string;
  /** On the lab's network. This machine reaches it too. */
  readonly address: string;
  /** Path on this machine of the engine's socket. */
  readonly engineSocket: string;
  /** Path on this machine of the node's `/run`. */
  readonly runDir: string;
  /** The docker CLI against this node's engine. */
  docker(args: readonly string[], options?: DockerOptions): Promise<string>;
  /** Runs a command in the node to its end. */
  run(argv: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Starts a process in the node; its pid is the command's own. It ends with the lab at the latest. */
  spawn(argv: readonly string[], options?: SpawnOptions): ChildProcess;
  startEngine(): Promise<void>;
  stopEngine(): Promise<void>;
  killEngine(): Promise<void>;
  restartEngine(): Promise<void>;
  /** SIGKILL to everything in the node at once: engine, containers, agents. `powerOn` brings the engine back. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
  /** From now on every packet on its link is dropped, both ways; nobody is told. */
  cutOff(): Promise<void>;
  reconnect(): Promise<void>;
  /** Drops this share of the packets on its link, each way on its own. 0 ends it. */
  losePackets(percent: number): Promise<void>;
  /** Replaces the node's `/etc/resolv.conf`. Containers take it over when they start. */
  setNameserver(address: string): void;
}

export interface NodeOptions {
  /** Port on the node's address where the engine also listens, without any protection. */
  readonly engineTcpPort: number | undefined;
}

const holderReadyWithinMs = 10_000;

/** Mounts first, then the host name; `ready` tells that the namespaces are complete. */
const holderScript = `set -e
dir="$1"; name="$2"; shift 2
while [ $# -gt 0 ]; do mount --bind "$dir/$1" "$2"; shift 2; done
mount --bind "$dir/run" /run
hostname "$name"
echo ready
exec sleep infinity`;

export async function createNode(
  lab: LabPlan,
  plan: NodePlan,
  network: Switch,
  options: NodeOptions,
): Promise<LabNode> {
  const runDir = join(plan.dir, 'run');
  const files = layOut(lab, plan);
  await network.connectNode(plan);
  let enter = await startHolder(plan, files);
  let engine: Engine | undefined;
  const start = async (): Promise<void> => {
    const tcp =
      options.engineTcpPort === undefined ? undefined : `tcp://${plan.address}:${options.engineTcpPort}`;
    engine ??= await startEngine({ enter, dir: plan.dir, socket: engineSocket, cgroup: plan.cgroup, tcp });
  };
  const stop = async (how: 'stop' | 'kill'): Promise<void> => {
    const ending = engine;
    engine = undefined;
    await ending?.[how]();
  };
  const engineSocket = join(runDir, 'docker.sock');
  return {
    name: plan.name,
    address: plan.address,
    engineSocket,
    runDir,
    docker: (args, dockerOptions) => runDocker(engineSocket, plan.dir, args, dockerOptions),
    run: (argv, runOptions) => runCommand([...enter, ...argv], runOptions),
    spawn: (argv, spawnOptions = {}) => spawnIn(enter, argv, spawnOptions),
    startEngine: start,
    stopEngine: () => stop('stop'),
    killEngine: () => stop('kill'),
    restartEngine: async () => {
      await stop('stop');
      await start();
    },
    powerOff: async () => {
      engine = undefined;
      await killAllOf({ namespaces: [plan.namespace], cgroup: plan.cgroup });
    },
    powerOn: async () => {
      // The network outlives the holder; mounts and host name do not. /run is empty after a boot.
      await runCommand(['find', runDir, '-mindepth', '1', '-delete']);
      enter = await startHolder(plan, layOut(lab, plan));
      await start();
    },
    cutOff: () => network.setLink(plan, { cut: true }),
    reconnect: () => network.setLink(plan, { cut: false }),
    losePackets: (lossPercent) => network.setLink(plan, { lossPercent }),
    setNameserver: (address) => writeFileSync(files.resolvConf, `nameserver ${address}\n`),
  };
}

interface NodeFiles {
  /** Pairs of a path below the node's folder and the path it is mounted on. */
  readonly mounts: readonly string[];
  readonly resolvConf: string;
}

function layOut(lab: LabPlan, plan: NodePlan): NodeFiles {
  for (const folder of ['run/lock', 'run/netns', 'docker', 'docker-etc', 'docker-config']) {
    mkdirSync(join(plan.dir, folder), { recursive: true });
  }
  for (const folder of ['/var/lib/docker', '/etc/docker']) mkdirSync(folder, { recursive: true });
  const hosts = lab.nodes.map((node) => `${node.address} ${node.name}`);
  writeFileSync(join(plan.dir, 'hosts'), `127.0.0.1 localhost\n${hosts.join('\n')}\n`);
  writeFileSync(join(plan.dir, 'hostname'), `${plan.name}\n`);
  // Nobody answers there unless a test does, and the refusal comes at once. Without any name server in the file
  // the engine would give its containers public ones.
  const nameserver = `nameserver ${lab.hostAddress}\n`;
  // The engine's id is a key in /etc/docker.
  const mounts = ['hosts', '/etc/hosts', 'docker', '/var/lib/docker', 'docker-etc', '/etc/docker'];
  if (existsSync('/etc/hostname')) mounts.push('hostname', '/etc/hostname');
  const target = realpathSync('/etc/resolv.conf');
  if (target.startsWith('/run/')) {
    // A link into /run (systemd-resolved): the node's own /run covers it.
    const resolvConf = join(plan.dir, target);
    mkdirSync(dirname(resolvConf), { recursive: true });
    writeFileSync(resolvConf, nameserver);
    return { mounts, resolvConf };
  }
  const resolvConf = join(plan.dir, 'resolv.conf');
  writeFileSync(resolvConf, nameserver);
  return { mounts: [...mounts, 'resolv.conf', target], resolvConf };
}

/** Starts the process that keeps the node's namespaces, and returns the command that enters them. */
async function startHolder(plan: NodePlan, { mounts }: NodeFiles): Promise<readonly string[]> {
  const unshare = ['unshare', '--mount', '--uts', '--propagation', 'private'];
  const argv = [
    `--net=/run/netns/${plan.namespace}`,
    ...unshare,
    'sh',
    '-c',
    holderScript,
    'sh',
    plan.dir,
    plan.name,
  ];
  const child = spawn('nsenter', [...argv, ...mounts], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const signal = AbortSignal.timeout(holderReadyWithinMs);
  const failed = once(child.stderr, 'data', { signal }).then(([text]) => {
    throw new Error(`make ${plan.name}: ${String(text)}`);
  });
  await Promise.race([once(child.stdout, 'data', { signal }), failed]);
  failed.catch(() => undefined);
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
  return ['nsenter', `--target=${child.pid}`, '--net', '--mount', '--uts'];
}

function spawnIn(enter: readonly string[], argv: readonly string[], options: SpawnOptions): ChildProcess {
  const [file = 'nsenter', ...args] = enter;
  // Entering a mount namespace moves the process to its root folder.
  const inFolder = ['sh', '-c', 'cd "$1"; shift; exec "$@"', 'sh', String(options.cwd ?? process.cwd())];
  return spawn(file, [...args, ...inFolder, ...argv], options);
}

async function runDocker(
  socket: string,
  dir: string,
  args: readonly string[],
  { cli, env, ...options }: DockerOptions = {},
): Promise<string> {
  const settings = { DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: join(dir, 'docker-config') };
  const merged = { ...process.env, ...settings, ...env };
  return (await runCommand([cli ?? debianCli(), ...args], { ...options, env: merged })).stdout;
}

/** The required tier; a newer one on PATH is used where a test asks for it. */
function debianCli(): string {
  return existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker';
}
