// Decides whether the agent is alive and whether it is ready, and says why not. Pure.
// Not alive asks for a restart; not ready asks for patience.

import type { EngineHealth } from '../docker/docker.ts';
import type { EdgeState } from '../edge/edge.ts';

export interface HealthInputs {
  readonly engine: EngineHealth;
  /** `alone`: the agent was not told to cluster. */
  readonly cluster: 'joining' | 'joined' | 'alone';
  /** Whether the compat listener is open; `closed` for good after the 72 h rule. */
  readonly listener: 'starting' | 'listening' | 'closed';
  /** After SIGTERM. */
  readonly draining: boolean;
  readonly nodeName: string | undefined;
  readonly members: number;
  /** Names of members that were here and are not. */
  readonly missing: readonly string[];
  /** Undefined outside Edge mode. */
  readonly edge?: EdgeState | undefined;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

export interface HealthCheck {
  readonly name: 'engine' | 'listener' | 'cluster' | 'edge' | 'shutdown';
  readonly ok: boolean;
  readonly reason: string;
}

export interface HealthReport {
  readonly alive: boolean;
  readonly ready: boolean;
  readonly nodeName: string | undefined;
  readonly members: number;
  readonly missing: readonly string[];
  readonly checks: readonly HealthCheck[];
}

/**
 * How long the engine may be gone before the agent asks to be restarted, milliseconds. A new engine makes a new
 * socket, and a container that had the old file mounted keeps the dead one until it is started again.
 */
const maxEngineAbsenceMs = 60_000;

export function decideHealth(inputs: HealthInputs): HealthReport {
  const checks = [
    checkEngine(inputs),
    checkListener(inputs),
    checkCluster(inputs),
    ...(inputs.edge === undefined ? [] : [checkEdge(inputs.edge)]),
    checkShutdown(inputs),
  ];
  return {
    alive: engineAbsenceMs(inputs) <= maxEngineAbsenceMs,
    ready: checks.every(({ ok }) => ok),
    nodeName: inputs.nodeName,
    members: inputs.members,
    missing: inputs.missing,
    checks,
  };
}

function engineAbsenceMs({ engine, nowMs }: HealthInputs): number {
  return engine.kind === 'reachable' ? 0 : nowMs - engine.sinceMs;
}

function checkEngine(inputs: HealthInputs): HealthCheck {
  const { engine } = inputs;
  if (engine.kind === 'reachable') return { name: 'engine', ok: true, reason: 'reachable' };
  const seconds = Math.max(0, Math.round(engineAbsenceMs(inputs) / 1_000));
  return { name: 'engine', ok: false, reason: `unreachable for ${seconds} s: ${engine.reason}` };
}

function checkListener({ listener }: HealthInputs): HealthCheck {
  switch (listener) {
    case 'listening':
      return { name: 'listener', ok: true, reason: 'listening' };
    case 'starting':
      return { name: 'listener', ok: false, reason: 'not listening yet' };
    case 'closed':
      return {
        name: 'listener',
        ok: false,
        reason: 'closed: no Portainer was associated in time; restart the agent',
      };
  }
}

function checkCluster({ cluster, members }: HealthInputs): HealthCheck {
  switch (cluster) {
    case 'alone':
      return { name: 'cluster', ok: true, reason: 'this agent does not cluster' };
    case 'joined':
      return { name: 'cluster', ok: true, reason: members === 1 ? 'the only member' : `${members} members` };
    case 'joining':
      return { name: 'cluster', ok: false, reason: 'no other agent has answered yet' };
  }
}

function checkEdge(edge: EdgeState): HealthCheck {
  switch (edge.kind) {
    case 'unassociated': {
      const remedy = edge.pageOpen
        ? 'give it on the Edge page'
        : 'set EDGE_KEY, or restart for the Edge page';
      return { name: 'edge', ok: false, reason: `no Edge key: ${remedy}` };
    }
    case 'resting':
      return { name: 'edge', ok: true, reason: 'the agent on the leader polls' };
    case 'polling': {
      const { failure, tunnel, lastGoodMs } = edge;
      if (failure !== undefined) return { name: 'edge', ok: false, reason: `poll failed: ${failure}` };
      if (lastGoodMs === undefined) return { name: 'edge', ok: false, reason: 'not polled yet' };
      if (tunnel.kind === 'waiting')
        return { name: 'edge', ok: false, reason: `tunnel not open: ${tunnel.reason}` };
      return { name: 'edge', ok: true, reason: `polls ${edge.portainerUrl}; tunnel ${tunnel.kind}` };
    }
  }
}

function checkShutdown({ draining }: HealthInputs): HealthCheck {
  return { name: 'shutdown', ok: !draining, reason: draining ? 'shutting down' : 'not shutting down' };
}
