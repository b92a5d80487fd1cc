// Finds out which stacks that are to be removed have given their name to one that is to be deployed.
// In a Swarm the heir may run already, deployed by another leader while this agent's list grew old: removing by name would
// take it down. So names are asked for before anything of a Swarm is removed.

import { AgentError } from '../../errors.ts';
import type { StackJob } from '../edge.ts';
import { parseStackFiles } from './stack-file.ts';
import type { StackRecord } from './stack-plan.ts';

export interface Heirs {
  /** Projects that are taken over, not removed. */
  readonly projects: ReadonlySet<string>;
  /** Why not all names could be asked for: then any stack of the Swarm may have an heir. */
  readonly failures: readonly unknown[];
}

/** `fetchStack` brings what Portainer sends of a stack. Rejects when the signal aborted only. */
export async function findHeirs(
  leaving: readonly StackRecord[],
  jobs: readonly StackJob[],
  fetchStack: (job: StackJob) => Promise<string>,
  signal: AbortSignal,
): Promise<Heirs> {
  const projects = new Set<string>();
  const failures: unknown[] = [];
  const names = new Set(
    leaving.filter(({ mode, project }) => mode === 'swarm' && project !== '').map(({ project }) => project),
  );
  // One after the other and fetched again later, so that never more than one of them is held.
  for (const job of names.size === 0 ? [] : jobs)
    try {
      const { project } = parseStackFiles(await fetchStack(job));
      if (names.has(project)) projects.add(project);
    } catch (error) {
      signal.throwIfAborted();
      // One that cannot be read cannot be deployed, so it takes no name.
      if (!(error instanceof AgentError) || error.code !== 'protocol-violation') failures.push(error);
    }
  return { projects, failures };
}

/** Whether a removal waits: for its heir to be deployed, or for the names to be known. */
export function isForHeir({ mode, project }: StackRecord, { projects, failures }: Heirs): boolean {
  return mode === 'swarm' && (projects.has(project) || failures.length > 0);
}
