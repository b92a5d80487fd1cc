// Deploys, observes and removes stacks with the docker CLI and Compose, against the local engine.
// Removal needs no file of the stack: a version that never came up can be removed as well as one that runs.

import { AgentError } from '../../errors.ts';
import type { Command, RunCommand } from './command.ts';
import {
  containerFormat,
  observeContainers,
  observeServices,
  observeTasks,
  serviceFormat,
  taskFormat,
  toServices,
} from './observe.ts';
import { findProgram, type Program, type ProgramPlaces } from './programs.ts';
import type { Observed, StackMode } from './stack-plan.ts';
import type { StackPlace } from './stack-store.ts';

export interface StackRunnerOptions {
  readonly places: ProgramPlaces;
  /** The agent's own variables, less its secrets; stacks may use them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly dockerSocket: string;
  readonly edgeId: string;
}

export interface Project {
  readonly project: string;
  readonly mode: StackMode;
}

export interface Deployment extends Project, StackPlace {
  /** In a Swarm: services of its name that its file does not have are left over from another stack, and go. */
  readonly prune: boolean;
  readonly variables: Readonly<Record<string, string>>;
}

/** All reject with what the program said, as `unavailable`, or `timeout`, or `cancelled`. */
export interface StackRunner {
  validate(deployment: Deployment, signal: AbortSignal): Promise<void>;
  /** Nothing in a Swarm, whose nodes pull by themselves. */
  pull(deployment: Deployment, signal: AbortSignal): Promise<void>;
  deploy(deployment: Deployment, signal: AbortSignal): Promise<void>;
  remove(project: Project, signal: AbortSignal): Promise<void>;
  observe(project: Project, signal: AbortSignal): Promise<Observed>;
}

/** Images may have to come over a slow line first. */
const deployTimeoutMs = 30 * 60_000;
const removeTimeoutMs = 5 * 60_000;
const askTimeoutMs = 30_000;

type Run = (program: Program, args: readonly string[], options: RunOptions) => Promise<string>;

interface RunOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly deployment?: Deployment;
}

export function createStackRunner(runCommand: RunCommand, options: StackRunnerOptions): StackRunner {
  const run: Run = async (program, args, { timeoutMs, signal, deployment }) => {
    const command: Command = {
      file: await findProgram(program, options.places),
      args,
      env: {
        ...options.environment,
        ...deployment?.variables,
        PORTAINER_EDGE_ID: options.edgeId,
        DOCKER_HOST: `unix://${options.dockerSocket}`,
      },
      folder: deployment?.folder ?? '/',
      timeoutMs,
    };
    const { code, output, errors } = await runCommand(command, signal);
    if (code === 0) return output;
    const said = [errors, output].map((text) => text.trim()).find((text) => text !== '');
    throw new AgentError('unavailable', said ?? `${program} ended with ${code ?? 'a signal'}`);
  };
  return {
    validate: (deployment, signal) => validate(run, deployment, signal),
    async pull(deployment, signal) {
      const options = { timeoutMs: deployTimeoutMs, signal, deployment };
      if (deployment.mode === 'compose')
        await run('docker-compose', [...composeArgs(deployment), 'pull'], options);
    },
    async deploy(deployment, signal) {
      const { mode, composeFile, project, prune } = deployment;
      const options = { timeoutMs: deployTimeoutMs, signal, deployment };
      if (mode === 'compose') await run('docker-compose', [...composeArgs(deployment), 'up', '-d'], options);
      else {
        const flags = ['--with-registry-auth', ...(prune ? ['--prune'] : [])];
        const args = ['stack', 'deploy', ...flags, '--compose-file', composeFile, project];
        await run('docker', args, options);
      }
    },
    remove: ({ project, mode }, signal) =>
      mode === 'compose' ? removeContainers(run, project, signal) : removeServices(run, project, signal),
    observe: ({ project, mode }, signal) =>
      mode === 'compose' ? askContainers(run, project, signal) : askServices(run, project, signal),
  };
}

function composeArgs({ composeFile, project }: Deployment): readonly string[] {
  return ['-f', composeFile, '--project-name', project];
}

/** A Swarm's docker CLI checks the file itself, so there the first check is left out without Compose. */
async function validate(run: Run, deployment: Deployment, signal: AbortSignal): Promise<void> {
  if (deployment.mode === 'swarm') return;
  const args = ['-f', deployment.composeFile, 'config', '--quiet'];
  await run('docker-compose', args, { timeoutMs: askTimeoutMs, signal, deployment });
}

/** As `down` does it, volumes kept. */
async function removeContainers(run: Run, project: string, signal: AbortSignal): Promise<void> {
  const ofProject = ['--quiet', '--filter', `label=com.docker.compose.project=${project}`];
  const ask = { timeoutMs: askTimeoutMs, signal };
  const act = { timeoutMs: removeTimeoutMs, signal };
  const containers = lines(await run('docker', ['ps', '--all', ...ofProject], ask));
  if (containers.length > 0) {
    await run('docker', ['stop', ...containers], act);
    await run('docker', ['rm', '--force', ...containers], act);
  }
  const networks = lines(await run('docker', ['network', 'ls', ...ofProject], ask));
  // Best effort: a network that somebody else's container uses stays with that container.
  for (const network of networks)
    await run('docker', ['network', 'rm', network], ask).catch(() => signal.throwIfAborted());
}

async function removeServices(run: Run, project: string, signal: AbortSignal): Promise<void> {
  await run('docker', ['stack', 'rm', project], { timeoutMs: removeTimeoutMs, signal });
}

async function askContainers(run: Run, project: string, signal: AbortSignal): Promise<Observed> {
  const filter = `label=com.docker.compose.project=${project}`;
  const args = ['ps', '--all', '--no-trunc', '--filter', filter, '--format', containerFormat];
  return observeContainers(await run('docker', args, { timeoutMs: askTimeoutMs, signal }));
}

async function askServices(run: Run, project: string, signal: AbortSignal): Promise<Observed> {
  const ask = { timeoutMs: askTimeoutMs, signal };
  const filter = `label=com.docker.stack.namespace=${project}`;
  const args = ['service', 'ls', '--filter', filter, '--format', serviceFormat];
  const services = toServices(await run('docker', args, ask));
  const observed = observeServices(services);
  if (observed !== undefined) return observed;
  for (const { name, state } of services) {
    if (state !== 'waiting') continue;
    const tasks = await run('docker', ['service', 'ps', '--no-trunc', '--format', taskFormat, name], ask);
    const found = observeTasks(tasks);
    if (found.kind === 'failed') return found;
  }
  return { kind: 'starting' };
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}
