// Builds what the commands on the control socket ask for.

import { dirname } from 'node:path';
import type { ControlNeeds } from '../api/control.ts';
import { examine, type Folder } from '../api/doctor/doctor.ts';
import { readNodes } from '../api/nodes.ts';
import { measuredPayloads, measurePeer, type PeerMeasure } from '../api/peer-measure.ts';
import { findSocketDir } from '../api/sockets-place.ts';
import type { Spread } from '../auth/association-spread.ts';
import type { AssociationStore } from '../auth/auth.ts';
import type { Cluster, Member } from '../cluster/cluster.ts';
import type { PeerDialer } from '../proxy/peer-dialer.ts';
import type { Edge } from './edge.ts';
import { type Ground, isClustered } from './ground.ts';

/** For a request that a healthy member answers in milliseconds, over a network that may lose packets. */
const measureStepTimeoutMs = 2_000;

export interface Operation extends Pick<ControlNeeds, 'health'> {
  /** Undefined outside Edge mode. */
  readonly edge: Edge | undefined;
  readonly cluster: Cluster;
  readonly dial: PeerDialer;
  readonly spread: Spread | undefined;
}

export function controlOf(ground: Ground, { cluster, dial, spread, health, edge }: Operation): ControlNeeds {
  const { config, docker, log } = ground;
  const shared = { view: () => cluster.view(), swarmNodes: docker.swarmNodes, nowMs: Date.now };
  const measure =
    (payloadBytes: readonly number[]) =>
    (member: Member, signal: AbortSignal): Promise<PeerMeasure> =>
      measurePeer(dial, member, Date.now, { payloadBytes, stepTimeoutMs: measureStepTimeoutMs }, signal);
  const nodesNeeds = { ...shared, isClustered: () => isClustered(ground), measure: measure([]) };
  const doctorNeeds = {
    ...shared,
    engine: docker.health,
    facts: docker.facts,
    diagnose: (signal: AbortSignal) => cluster.diagnose(signal),
    measure: measure(measuredPayloads),
    folders: () => socketFolders(ground),
    edge: () => edge?.state(),
  };
  const doctorOptions = {
    dockerSocket: config.agent.dockerSocket,
    hasSecret: config.cluster.secret !== undefined,
  };
  return {
    keys: keysOf(ground, spread),
    health,
    nodes: (signal) => readNodes(nodesNeeds, signal),
    doctor: (signal) => examine(doctorNeeds, doctorOptions, signal),
    log: log.child('control'),
  };
}

async function socketFolders({ config: { agent, api, sockets } }: Ground): Promise<readonly Folder[]> {
  const control = {
    path: dirname(api.controlSocket),
    purpose: 'control socket',
    variable: 'FLOTILLA_CONTROL_SOCKET',
  };
  if (sockets.where === 'off') return [control];
  const path = sockets.dir ?? (await findSocketDir(agent.hostRoot));
  if (path === control.path) return [{ ...control, purpose: 'control and Docker sockets' }];
  return [control, { path, purpose: 'Docker sockets', variable: 'FLOTILLA_SOCKET_DIR' }];
}

function keysOf({ association, docker }: Ground, spread: Spread | undefined): ControlNeeds['keys'] {
  return {
    list(): readonly NonNullable<ReturnType<AssociationStore['current']>['key']>[] {
      const { key } = association.current();
      return key === undefined ? [] : [key];
    },
    async forget(signal) {
      association.forget();
      const others = (await spread?.toAll(signal)) ?? [];
      return {
        nodes: [
          { node: docker.facts().nodeName, outcome: 'forgotten' },
          ...others.map(({ node, outcome }) => ({
            node,
            outcome: outcome === 'done' ? 'forgotten' : outcome,
          })),
        ],
      };
    },
  };
}
