// Decides whether this agent polls: alone, on Podman, or on the Swarm's leader, as long as its engine says so.
// An engine that is silent for long may have been replaced as leader. How long is measured here: the time of day may jump.

import type { Docker } from '../docker/docker.ts';

export interface RoleNeeds {
  readonly docker: Pick<Docker, 'facts' | 'health'>;
  readonly monotonicMs: () => number;
}

/** To be looked at every second or so, because a silence begins when it is first seen. */
export const leaderSilenceMs = 15_000;

/** The call says whether this agent polls now. It throws `engine-unreachable` before the engine was reached once. */
export function createRole(
  { docker, monotonicMs }: RoleNeeds,
  options: { readonly podman: boolean },
): () => boolean {
  /** `id` tells one silence from the next. */
  let silence: { readonly id: number; readonly sinceMs: number } | undefined;

  const silentMs = (): number => {
    const health = docker.health();
    if (health.kind === 'reachable') {
      silence = undefined;
      return 0;
    }
    const nowMs = monotonicMs();
    if (silence?.id !== health.sinceMs) silence = { id: health.sinceMs, sinceMs: nowMs };
    return nowMs - silence.sinceMs;
  };

  return () => {
    const { swarm } = docker.facts();
    const isSilent = silentMs() > leaderSilenceMs;
    if (options.podman || swarm === undefined) return true;
    return swarm.role === 'manager' && swarm.leader && !isSilent;
  };
}
