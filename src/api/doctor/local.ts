// Decides what is wrong on this node alone: its engine, its folders, its own address, its secret. Pure.

import type { DoctorFacts, FolderState } from './facts.ts';
import { type DoctorCheck, ok, problem, warning } from './report.ts';

export function checkLocal(facts: DoctorFacts): readonly DoctorCheck[] {
  return [
    checkEngine(facts),
    ...facts.folders.map(checkFolder),
    checkAdvertise(facts),
    ...checkOwnSecret(facts),
  ];
}

function checkEngine({ engine, facts, dockerSocket, nowMs }: DoctorFacts): DoctorCheck {
  if (engine.kind === 'reachable') {
    const { engineVersion, minApiVersion, apiVersion } = facts;
    return ok('engine', `${engineVersion} at ${dockerSocket}, API ${minApiVersion} to ${apiVersion}`);
  }
  const seconds = Math.max(0, Math.round((nowMs - engine.sinceMs) / 1_000));
  return problem(
    'engine',
    null,
    `no answer at ${dockerSocket} for ${seconds} s: ${engine.reason}`,
    'is dockerd running on this node? In a container: mount the socket, and restart the agent after the engine was replaced',
  );
}

function checkFolder({ path, purpose, variable, fault }: FolderState): DoctorCheck {
  if (fault === undefined) return ok('sockets', `${path} can be written to (${purpose})`);
  return problem(
    'sockets',
    null,
    `${path} cannot be written to (${purpose}): ${fault}`,
    `run the agent as root with that folder mounted, or name another one with ${variable}`,
  );
}

function checkAdvertise({ diagnosis: { state } }: DoctorFacts): DoctorCheck {
  switch (state.kind) {
    case 'running': {
      const elsewhere = state.listen === state.advertise ? '' : `, listening on ${state.listen}`;
      return ok('advertise', `${state.advertise}${elsewhere}: ${state.reason}`);
    }
    case 'alone':
      return ok(
        'advertise',
        'none: this agent was not told to cluster (no Swarm, no FLOTILLA_SEEDS, no AGENT_CLUSTER_ADDR)',
      );
    case 'finding-address':
      return problem(
        'advertise',
        null,
        'this agent has found no address that others could reach it at',
        "put the service on an overlay network of its own, or set FLOTILLA_ADVERTISE_ADDR to one of this host's addresses",
      );
    case 'failed':
      return problem(
        'advertise',
        null,
        `the gossip does not start: ${state.reason}`,
        remedyOfStart(state.reason),
      );
    case 'stepped-down':
      return problem(
        'advertise',
        null,
        `a newer agent of this same engine took over at ${state.address}; this one waits`,
        'run one agent on each node: remove the container or service that was deployed twice',
      );
  }
}

function remedyOfStart(reason: string): string {
  if (/EADDRNOTAVAIL/.test(reason)) return "set FLOTILLA_ADVERTISE_ADDR to one of this host's addresses";
  return (
    'does something else listen on this port? On the network of the host the Swarm itself has 7946: ' +
    'set FLOTILLA_GOSSIP_PORT to another one, the same on all agents'
  );
}

function checkOwnSecret({ hasSecret, diagnosis }: DoctorFacts): readonly DoctorCheck[] {
  if (diagnosis.state.kind === 'alone') return [];
  if (hasSecret) return [ok('secret', 'the gossip is closed by a cluster secret')];
  return [
    warning(
      'secret',
      null,
      'this agent has no cluster secret: any host may join, and the cluster socket reaches this node only',
      'give FLOTILLA_CLUSTER_SECRET or FLOTILLA_CLUSTER_SECRET_FILE the same value on all agents',
    ),
  ];
}
