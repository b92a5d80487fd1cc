// A real Swarm on one machine: engines in network namespaces, each a node with its own address, host name and disk.
// Whatever ends the process that made a lab, the lab is removed: at once, or by the next start after a SIGKILL.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { busyboxImage, importImages, type LabImage } from './images.ts';
import { createNode, type LabNode } from './node.ts';
import type { LabPlan, NetworkOptions } from './plan.ts';
import { cleanLab, removeLeftovers } from './reaper.ts';
import { claimLab, releaseLab } from './state.ts';
import { formSwarm, setRole } from './swarm.ts';
import { createSwitch } from './switch.ts';
import { say } from './wait.ts';

export interface LabOptions extends NetworkOptions {
  /** How many nodes: node-1, node-2 and so on. */
  readonly nodes: number;
  /** Join them to one Swarm; node-1 is its first manager. */
  readonly swarm: boolean;
  /** How many of them are managers. Default: 1. */
  readonly managers?: number;
  /** Imported into every engine. Default: busybox. */
  readonly images?: readonly LabImage[];
  /** Each engine also listens on this port of its node's address, without any protection. Default: it does not. */
  readonly engineTcpPort?: number;
  /** By which `removeLabsNamed` finds it. */
  readonly name?: string;
}

export interface Lab extends AsyncDisposable {
  readonly nodes: readonly LabNode[];
  /** The node of that name or number (from 1). */
  node(which: number): LabNode;
  /** This machine's own address on the lab's network: what nodes and containers see and can call. */
  readonly hostAddress: string;
  /** The record by which the lab can be removed by another process. */
  readonly stateFile: string;
  promote(node: LabNode): Promise<void>;
  demote(node: LabNode): Promise<void>;
  /** It stays when this process ends, until `removeLabsNamed`. */
  leaveRunning(): void;
}

/** Makes the lab, its engines starting together. Needs root, and the packages of `scripts/debian-packages.ts`. */
export async function createLab(options: LabOptions): Promise<Lab> {
  if (process.getuid?.() !== 0) throw new Error('a lab makes network namespaces and needs root');
  const leftovers = await removeLeftovers();
  if (leftovers > 0) say(`removed ${leftovers} left over from before`);
  const startedMs = performance.now();
  const plan = claimLab(options.nodes, options.name);
  const forget = removeAtExit(plan.stateFile);
  const dispose = async (): Promise<void> => {
    await cleanLab(plan.stateFile);
    forget();
  };
  try {
    const nodes = await makeNodes(plan, options);
    if (options.swarm) await formSwarm(nodes, options.managers ?? 1);
    say(
      `${nodes.length} nodes at ${plan.subnet} after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`,
    );
    return {
      nodes,
      node: (which) => nodeAt(nodes, which),
      hostAddress: plan.hostAddress,
      stateFile: plan.stateFile,
      promote: (node) => setRole(nodes, node, 'promote'),
      demote: (node) => setRole(nodes, node, 'demote'),
      leaveRunning: () => {
        releaseLab(plan.stateFile);
        forget();
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function makeNodes(plan: LabPlan, options: LabOptions): Promise<readonly LabNode[]> {
  say(`starting ${plan.nodes.length} engines`);
  const network = await createSwitch(plan, options);
  const images = options.images ?? [busyboxImage];
  const starting = plan.nodes.map(async (nodePlan) => {
    const node = await createNode(plan, nodePlan, network, { engineTcpPort: options.engineTcpPort });
    await node.startEngine();
    await importImages(node, images);
    return node;
  });
  // All are waited for, also when one fails: what is still starting could not be removed.
  const outcomes = await Promise.allSettled(starting);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw new Error('start a node of the lab', { cause: outcome.reason });
    return outcome.value;
  });
}

function nodeAt(nodes: readonly LabNode[], which: number): LabNode {
  const node = nodes[which - 1];
  if (node === undefined) throw new RangeError(`the lab has nodes 1 to ${nodes.length}, not ${which}`);
  return node;
}

const reaperFile = fileURLToPath(import.meta.resolve('./reaper.ts'));
const reaperTimeoutMs = 60_000;
const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** An exit handler cannot wait, a child process started by it can. Returns how to take the handlers back. */
function removeAtExit(stateFile: string): () => void {
  const onExit = (): void => {
    say('the process ends: removing the lab');
    spawnSync(process.execPath, [reaperFile, stateFile], { stdio: 'inherit', timeout: reaperTimeoutMs });
  };
  const onSignal = (_signal: NodeJS.Signals, number: number): void => process.exit(128 + number);
  process.on('exit', onExit);
  for (const signal of endingSignals) process.on(signal, onSignal);
  return () => {
    process.off('exit', onExit);
    for (const signal of endingSignals) process.off(signal, onSignal);
  };
}
