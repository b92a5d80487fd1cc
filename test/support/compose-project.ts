// A docker-compose project on disk, and Debian's docker-compose that works on it by the Docker socket it is given.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createDockerCli, type DockerCli, writeCliConfig } from './docker-cli.ts';
import { busyboxImage } from './lab/images.ts';
import type { LabNode } from './lab/node.ts';

export interface ComposeProjects extends Disposable {
  /** Compose on that socket, for the project of that name. */
  on(socket: string, project: string, options?: ProjectOptions): DockerCli;
}

export interface ProjectOptions {
  /** The node that all of its requests name. */
  readonly target?: string;
  /** `bare` has containers and nothing else. Default: `whole`. */
  readonly form?: 'whole' | 'bare';
}

/** What one node has of a project, by which it is seen whether somebody else touched it. */
export interface ProjectState {
  /** Ids, and whether they run. */
  readonly containers: readonly string[];
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
}

const composeBinary = '/usr/bin/docker-compose';
/** It asks dozens of questions one after the other. */
const commandTimeoutMs = 60_000;

const bareFile = `version: '2.4'
services:
  alone:
    image: ${busyboxImage}
    command: ['sleep', '100000']
    network_mode: none
    stop_signal: SIGKILL
`;

/** One service writes lines for ever, the other one uses a volume; they have a network of their own. */
const composeFile = `version: '2.4'
services:
  web:
    image: ${busyboxImage}
    command: ['sh', '-c', 'i=0; while :; do i=$$((i + 1)); echo line $$i; sleep 0.2; done']
    stop_signal: SIGKILL
  store:
    image: ${busyboxImage}
    command: ['sh', '-c', 'echo kept > /data/file; exec sleep 100000']
    stop_signal: SIGKILL
    volumes: ['data:/data']
volumes:
  data: {}
`;

export function createComposeProjects(): ComposeProjects {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-compose-'));
  const files = { whole: join(folder, 'whole.yml'), bare: join(folder, 'bare.yml') };
  writeFileSync(files.whole, composeFile);
  writeFileSync(files.bare, bareFile);
  let count = 0;
  return {
    on(socket, project, { target, form = 'whole' } = {}): DockerCli {
      const configDir = join(folder, `config-${++count}`);
      mkdirSync(configDir);
      writeCliConfig(configDir, {
        headers: target === undefined ? {} : { 'X-PortainerAgent-Target': target },
      });
      return createDockerCli({
        binary: composeBinary,
        host: `unix://${socket}`,
        configDir,
        timeoutMs: commandTimeoutMs,
        arguments: ['--ansi', 'never', '--file', files[form], '--project-name', project],
      });
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export function clusterSocketOf({ runDir }: LabNode): string {
  return join(runDir, 'flotilla/docker.sock');
}

/** Of the sockets on `entry`, the one of `node`. */
export function nodeSocketOf(entry: LabNode, node: LabNode): string {
  return join(entry.runDir, 'flotilla/nodes', `${node.name}.sock`);
}

/** As the node's own engine has it. */
export async function stateOf(node: LabNode, project: string): Promise<ProjectState> {
  const filter = ['--filter', `label=com.docker.compose.project=${project}`];
  const lines = async (...args: readonly string[]): Promise<readonly string[]> =>
    (await node.docker([...args, ...filter]))
      .split('\n')
      .filter((line) => line !== '')
      .toSorted();
  return {
    containers: await lines('ps', '--all', '--no-trunc', '--format', '{{.ID}} {{.State}} {{.Names}}'),
    networks: await lines('network', 'ls', '--no-trunc', '--format', '{{.ID}} {{.Name}}'),
    volumes: await lines('volume', 'ls', '--format', '{{.Name}}'),
  };
}
