// Runs the installed docker CLI, for its contexts, and ssh, for the list of sockets on another host.

import { execFile } from 'node:child_process';
import { AgentError, nodeCode, reasonOf } from '../errors.ts';
import type { KnownContext, PlannedContext, SshHost } from './context-plan.ts';

export interface DockerContexts {
  /** Undefined when it does not say. */
  version(): Promise<string | undefined>;
  list(): Promise<readonly KnownContext[]>;
  create(context: PlannedContext): Promise<void>;
  update(context: PlannedContext): Promise<void>;
  remove(name: string): Promise<void>;
}

const dockerTimeoutMs = 10_000;
/** Time to type a passphrase. */
const sshTimeoutMs = 60_000;
const maxOutputBytes = 1024 * 1024;

export function createDockerContexts(binary: string): DockerContexts {
  const docker = (...args: readonly string[]): Promise<string> => run(binary, args, dockerTimeoutMs);
  const described = ({ description, endpoint }: PlannedContext): readonly string[] => [
    '--description',
    description,
    '--docker',
    `host=${endpoint}`,
  ];
  return {
    version: async () => /version (\d+\.[\w.]+)/.exec(await docker('--version'))?.[1],
    list: async () => parseContexts(await docker('context', 'ls', '--format', '{{json .}}')),
    create: async (context) => void (await docker('context', 'create', context.name, ...described(context))),
    update: async (context) => void (await docker('context', 'update', context.name, ...described(context))),
    remove: async (name) => void (await docker('context', 'rm', name)),
  };
}

interface RawContext {
  readonly Name?: string;
  readonly Description?: string;
  readonly DockerEndpoint?: string;
  readonly Current?: boolean;
}

/** One JSON object a line, in every version of the CLI. */
export function parseContexts(output: string): readonly KnownContext[] {
  return output
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      // Every field may be absent.
      const {
        Name = '',
        Description = '',
        DockerEndpoint = '',
        Current = false,
      } = JSON.parse(line) as RawContext;
      return { name: Name, description: Description, endpoint: DockerEndpoint, current: Current };
    });
}

/** Names of the files in a folder of that host. */
export async function listOverSsh(host: SshHost, folder: string): Promise<readonly string[]> {
  const quoted = `'${folder.replaceAll("'", `'\\''`)}'`;
  return (await run('ssh', [...host.arguments, `ls -1 ${quoted}`], sshTimeoutMs)).split('\n');
}

function run(file: string, args: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const limits = { timeout: timeoutMs, maxBuffer: maxOutputBytes };
    execFile(file, [...args], limits, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(toFault(file, args, error, stderr));
    });
  });
}

function toFault(file: string, args: readonly string[], error: Error, stderr: string): AgentError {
  const attempted = `run ${file} ${args.slice(0, 3).join(' ')}`;
  if (nodeCode(error) === 'ENOENT') {
    const advice =
      file === 'ssh' ? 'ssh is not installed here' : 'no docker CLI here; --docker <path> names one';
    return new AgentError('unavailable', `${attempted}: ${advice}`, { cause: error });
  }
  const said = stderr.trim();
  return new AgentError('unavailable', `${attempted}: ${said === '' ? reasonOf(error) : said}`, {
    cause: error,
  });
}
