// Joins the nodes of a lab to one Swarm and changes their roles, waiting until the engines themselves say so.

import type { LabNode } from './node.ts';
import { waitFor } from './wait.ts';

const readyWithinMs = 30_000;
const roleWithinMs = 30_000;

/** The first `managers` nodes become managers, node-1 the first of them. */
export async function formSwarm(nodes: readonly LabNode[], managers: number): Promise<void> {
  const [first, ...others] = nodes;
  if (first === undefined) return;
  await first.docker(['swarm', 'init', '--advertise-addr', first.address]);
  const token = async (role: string): Promise<string> =>
    (await first.docker(['swarm', 'join-token', '--quiet', role])).trim();
  const join = (node: LabNode, secret: string): Promise<string> =>
    node.docker([
      'swarm',
      'join',
      '--advertise-addr',
      node.address,
      '--token',
      secret,
      `${first.address}:2377`,
    ]);
  const managerToken = await token('manager');
  const workerToken = await token('worker');
  // Managers one by one: each join changes the quorum.
  for (const node of others.slice(0, managers - 1)) await join(node, managerToken);
  await Promise.all(others.slice(managers - 1).map((node) => join(node, workerToken)));
  await waitFor('all nodes of the Swarm to be ready', () => allReady(first, nodes.length), {
    withinMs: readyWithinMs,
  });
}

async function allReady(manager: LabNode, count: number): Promise<boolean> {
  const listed = await manager.docker(['node', 'ls', '--format', '{{.Status}}']);
  return listed.split('\n').filter((line) => line === 'Ready').length === count;
}

/** Asks the managers in turn, the node itself last: a manager that is being demoted may lose its word on the way. */
export async function setRole(
  nodes: readonly LabNode[],
  node: LabNode,
  change: 'promote' | 'demote',
): Promise<void> {
  const askers = [...nodes.filter((other) => other !== node), node];
  const failures: unknown[] = [];
  for (const asker of askers) {
    try {
      await asker.docker(['node', change, node.name]);
      break;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === askers.length) throw new AggregateError(failures, `${change} ${node.name}`);
  const wanted = String(change === 'promote');
  const isChanged = async (): Promise<boolean> =>
    (await node.docker(['info', '--format', '{{.Swarm.ControlAvailable}}'])).trim() === wanted;
  await waitFor(`${node.name} to learn its role`, isChanged, { withinMs: roleWithinMs });
}
