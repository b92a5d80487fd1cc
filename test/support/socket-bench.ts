// Sets a docker CLI up for one case on a Docker socket of one node, with what it works on living on another node, which
// nobody tells it. Each node has the same fixture, so that whatever answers must have found the right one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { boxOf, type CliWorld, nodeAt } from './cli-bench.ts';
import { type CliBinary, createDockerCli, type DockerCli, writeCliConfig } from './docker-cli.ts';
import { busyboxImage } from './lab/images.ts';
import type { LabNode } from './lab/node.ts';

/** Nodes count from 1. */
export interface SocketRoute {
  /** Whose sockets are used. */
  readonly entry: number;
  /** Where what is worked on is. */
  readonly owner: number;
}

/** `docker` is connected to the cluster socket of `here`, and `node` is another one. */
export interface SocketWorld extends CliWorld {
  readonly manager: LabNode;
  /** The same CLI on the same socket, saying which node is meant. */
  targeting(target: string): DockerCli;
  /** The same CLI on the socket that `here` has for that node alone. */
  onSocketOf(node: LabNode): DockerCli;
}

export interface SocketBench extends Disposable {
  worldOf(cli: CliBinary, route: SocketRoute): SocketWorld;
}

/** All of the fixture has this label, with the node as value. */
export const fixtureLabel = 'lab.fixture';
/** On every node, beside the box: an exited container, an image, a volume and a network. The box uses the last two. */
export const doneOf = ({ name }: LabNode): string => `done-${name}`;
export const imageOf = ({ name }: LabNode): string => `fixture:${name}`;
export const volumeOf = ({ name }: LabNode): string => `data-${name}`;
export const networkOf = ({ name }: LabNode): string => `net-${name}`;
export const publishedPort = 8080;
export const doneExitCode = 3;

const blobBytes = 5 * 1024 * 1024;
const target = 'X-PortainerAgent-Target';

export async function createSocketBench(nodes: readonly LabNode[]): Promise<SocketBench> {
  const manager = nodeAt(nodes, 1);
  await Promise.all(nodes.map(layFixture));
  const scratch = mkdtempSync(join(tmpdir(), 'flotilla-socket-'));
  const blob = randomBytes(blobBytes);
  let count = 0;
  return {
    worldOf(cli, { entry, owner }): SocketWorld {
      // No name is the beginning of another one.
      const unique = `case-${String(++count).padStart(4, '0')}`;
      const folder = join(scratch, unique);
      mkdirSync(folder);
      const [here, node] = [nodeAt(nodes, entry), nodeAt(nodes, owner)];
      const connect = (socket: string, headers: Readonly<Record<string, string>>): DockerCli => {
        const configDir = join(scratch, `${unique}-config-${randomBytes(4).toString('hex')}`);
        writeCliConfig(configDir, { headers });
        return createDockerCli({ binary: cli.path, host: `unix://${socketDir(here)}/${socket}`, configDir });
      };
      return {
        docker: connect('docker.sock', {}),
        targeting: (name) => connect('docker.sock', { [target]: name }),
        onSocketOf: ({ name }) => connect(`nodes/${name}.sock`, {}),
        binary: cli.path,
        node,
        place: ['--label', `flotilla.node=${node.name}`],
        here,
        manager,
        nodes,
        box: boxOf(node),
        unique,
        folder,
        blob,
      };
    },
    [Symbol.dispose]: () => rmSync(scratch, { recursive: true, force: true }),
  };
}

/** Asserts that this fails, in exactly the words of an engine that is asked directly. */
export async function failsAsOnOneEngine(
  { docker, here, binary }: SocketWorld,
  command: readonly string[],
): Promise<void> {
  const { code, stdout, stderr } = await docker.run(command);
  assert.notEqual(code, 0, command.join(' '));
  const direct = here.docker(command, { cli: binary });
  await assert.rejects(direct, (error: Error) => {
    assert.equal(
      `exit code ${code}: ${stderr}${stdout}`.trim(),
      error.message.slice(error.message.indexOf('exit code')),
    );
    return true;
  });
}

function socketDir({ runDir }: LabNode): string {
  return join(runDir, 'flotilla');
}

async function layFixture(node: LabNode): Promise<void> {
  const label = ['--label', `${fixtureLabel}=${node.name}`];
  await node.docker(['tag', busyboxImage, imageOf(node)]);
  await node.docker(['volume', 'create', ...label, volumeOf(node)]);
  await node.docker(['network', 'create', ...label, networkOf(node)]);
  const done = ['run', '--name', doneOf(node), ...label, busyboxImage, 'sh', '-c'];
  await node.docker([...done, `exit ${doneExitCode}`], { allowFailure: true });
  const script = 'echo out; echo err >&2; exec sleep 100000';
  const uses = [
    '--network',
    networkOf(node),
    '--volume',
    `${volumeOf(node)}:/data`,
    '--publish',
    `${publishedPort}:80`,
  ];
  const named = ['--name', boxOf(node), '--hostname', node.name, ...label];
  await node.docker(['run', '-d', ...named, ...uses, busyboxImage, 'sh', '-c', script]);
}
