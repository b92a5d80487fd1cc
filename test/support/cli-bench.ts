// Sets a docker CLI up for one case of a table: its settings, the node it connects to, the node that must do the work,
// a container to work with there, and a name and a folder of its own.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type CliBinary, createDockerCli, type DockerCli, writeCliConfig } from './docker-cli.ts';
import { callAgent } from './lab/agent-client.ts';
import { busyboxImage } from './lab/images.ts';
import type { LabNode } from './lab/node.ts';
import type { Signer } from './signer.ts';

/** Where a CLI connects, and how it is steered. Nodes count from 1. */
export interface Route {
  readonly name: string;
  readonly entry: number;
  /** Named by the target header; without it the entry node is meant. */
  readonly target?: number;
  /** `portainer`: exactly what a Portainer server gives its CLI. Default: the signature and the target. */
  readonly settings?: 'portainer';
}

export interface CliWorld {
  readonly docker: DockerCli;
  /** Path of that CLI, for asking the engines in the same words. */
  readonly binary: string;
  /** Where the agent must run things. */
  readonly node: LabNode;
  /** Options by which something that is made is made there. */
  readonly place: readonly string[];
  /** Where a build, a load or an import ends up. */
  readonly here: LabNode;
  readonly nodes: readonly LabNode[];
  /** A container that runs on `node` and has its host name. It wrote `out`, and `err` to standard error. */
  readonly box: string;
  /** A name that no other case uses. */
  readonly unique: string;
  /** Of this case alone. */
  readonly folder: string;
  /** Some megabytes that nothing could have guessed. */
  readonly blob: Buffer;
}

export interface CliBench extends Disposable {
  worldOf(cli: CliBinary, route: Route): CliWorld;
}

const blobBytes = 4 * 1024 * 1024;
const target = 'X-PortainerAgent-Target';
const managerOperation = 'X-PortainerAgent-ManagerOperation';

/** Needs agents on all nodes, and starts a box on each. */
export async function createCliBench(nodes: readonly LabNode[], signer: Signer): Promise<CliBench> {
  const [first] = nodes;
  if (first === undefined) throw new RangeError('a CLI needs a node to connect to');
  const { certificatePem } = await callAgent({ address: first.address, path: '/ping', signer });
  await Promise.all(nodes.map(startBox));
  const scratch = mkdtempSync(join(tmpdir(), 'flotilla-cli-'));
  const blob = randomBytes(blobBytes);
  let count = 0;

  const connect = (cli: CliBinary, route: Route, configDir: string): DockerCli => {
    const host = `tcp://${nodeAt(nodes, route.entry).address}:9001`;
    const reach = { binary: cli.path, host, configDir };
    if (route.settings === 'portainer') {
      writeCliConfig(configDir, { headers: { [managerOperation]: '1', ...signer.headers() } });
      // No ca.pem, and for its path an argument of two quote characters (server-expectations.md 7).
      const tls = ['--config', configDir, '--tls', '--tlscacert', "''"];
      return createDockerCli({ ...reach, arguments: tls });
    }
    const steering = route.target === undefined ? {} : { [target]: nodeAt(nodes, route.target).name };
    writeCliConfig(configDir, { headers: { ...signer.headers(), ...steering }, certificatePem });
    return createDockerCli({ ...reach, arguments: ['--tls'] });
  };
  return {
    worldOf(cli, route): CliWorld {
      const unique = `case-${++count}`;
      const folder = join(scratch, unique);
      mkdirSync(folder);
      const node = nodeAt(nodes, route.target ?? route.entry);
      const docker = connect(cli, route, join(scratch, `${unique}-config`));
      const where = { node, place: [], here: node, nodes, box: boxOf(node) };
      return { docker, binary: cli.path, ...where, unique, folder, blob };
    },
    [Symbol.dispose]: () => rmSync(scratch, { recursive: true, force: true }),
  };
}

export function nodeAt(nodes: readonly LabNode[], which: number): LabNode {
  const node = nodes[which - 1];
  if (node === undefined) throw new RangeError(`there are nodes 1 to ${nodes.length}, not ${which}`);
  return node;
}

export function boxOf(node: LabNode): string {
  return `box-${node.name}`;
}

async function startBox(node: LabNode): Promise<void> {
  const script = 'echo out; echo err >&2; exec sleep 100000';
  const options = ['-d', '--name', boxOf(node), '--hostname', node.name];
  await node.docker(['run', ...options, busyboxImage, 'sh', '-c', script]);
}
