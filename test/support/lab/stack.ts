// Deploys the agent to a lab as users do: bundle, image from the Dockerfile on every engine, deploy/stack.yml.
// The lab needs a Swarm and the Node base image.

import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';

import type { Signer } from '../signer.ts';
import { getJson } from './agent-client.ts';
import { runCommand } from './command.ts';
import type { Lab } from './lab.ts';
import type { LabNode } from './node.ts';
import { say, waitFor } from './wait.ts';

export const stackName = 'flotilla';
export const agentImage = 'flotilla:dev';

export interface StackOptions {
  /** Stack files after `deploy/stack.yml`, by path. Default: none. */
  readonly files?: readonly string[];
  /** Default: a random one. */
  readonly clusterSecret?: string;
  /** Variables for the stack files. */
  readonly env?: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL('../../..', import.meta.url));
const buildTimeoutMs = 120_000;
const formedWithinMs = 60_000;
const seenWithinMs = 2_000;

/** `npm run build`, then the image on every engine: without a registry an image is only where it was built. */
export async function buildAgentImage(nodes: readonly LabNode[]): Promise<void> {
  say('building the bundle and the image');
  await runCommand([process.execPath, 'scripts/build.ts'], { cwd: root, timeoutMs: buildTimeoutMs });
  const build = ['build', '--quiet', '--tag', agentImage, '.'];
  await Promise.all(nodes.map((node) => node.docker(build, { cwd: root, timeoutMs: buildTimeoutMs })));
}

export async function deployStack(manager: LabNode, options: StackOptions = {}): Promise<void> {
  const secret = options.clusterSecret ?? randomBytes(32).toString('base64');
  await manager.docker(['secret', 'create', 'flotilla_cluster_secret', '-'], { input: secret });
  const files = ['deploy/stack.yml', ...(options.files ?? [])].flatMap((file) => ['--compose-file', file]);
  const env = { ...process.env, FLOTILLA_IMAGE: agentImage, ...options.env };
  // No registry is asked for digests: there is none.
  const deploy = ['stack', 'deploy', '--resolve-image', 'never', ...files, stackName];
  await manager.docker(deploy, { cwd: root, env });
}

/** Waits until every agent of the stack counts every other one. On failure it says what became of the tasks. */
export async function waitForStack(lab: Lab, signer: Signer): Promise<void> {
  try {
    await waitForCluster(lab.nodes, signer, formedWithinMs);
  } catch (cause) {
    throw new Error(`form a cluster\n${await describeAgents(lab)}`, { cause });
  }
}

/** Waits until the agents on these nodes count each other and nobody else, whatever way they were started. */
export async function waitForCluster(
  nodes: readonly LabNode[],
  signer: Signer,
  withinMs: number,
): Promise<void> {
  const expected = nodes
    .map((node) => node.name)
    .toSorted()
    .join();
  const isWhole = async (): Promise<boolean> =>
    (await Promise.all(nodes.map((node) => membersSeenBy(node, signer)))).every(
      (names) => names === expected,
    );
  await waitFor('the agents to form one cluster', isWhole, { withinMs, everyMs: 100 });
}

async function membersSeenBy(node: LabNode, signer: Signer): Promise<string> {
  const agents = await getJson({ address: node.address, path: '/agents', signer, timeoutMs: seenWithinMs });
  if (!Array.isArray(agents)) throw new Error(`/agents of ${node.name} is no list`);
  return agents
    .map((agent: { readonly NodeName?: unknown }) => String(agent.NodeName))
    .toSorted()
    .join();
}

/** Tasks of the service, and the last lines of each agent's log. */
export async function describeAgents(lab: Lab): Promise<string> {
  const service = `${stackName}_agent`;
  const tasks = lab.node(1).docker(['service', 'ps', '--no-trunc', service]).catch(String);
  const logs = lab.nodes.map(async (node) => {
    const filter = ['--all', '--quiet', '--filter', `label=com.docker.swarm.service.name=${service}`];
    const ids = (await node.docker(['ps', ...filter]).catch(String)).split('\n').filter(Boolean);
    const ends = ids.map((id) =>
      node.run(['sh', '-c', `docker logs --tail 40 ${id} 2>&1`], { allowFailure: true }),
    );
    return [`--- ${node.name}`, ...(await Promise.all(ends)).map((end) => end.stdout)].join('\n');
  });
  return [await tasks, ...(await Promise.all(logs))].join('\n');
}
