// Builds what carries requests to the local engine and to the other agents.

import type { Cluster, ClusterView } from '../cluster/cluster.ts';
import type { Startable } from '../lifecycle.ts';
import { createPeerTransports, type PeerTransports } from '../proxy/agent-transport.ts';
import { type Breakers, createBreakers } from '../proxy/breakers.ts';
import { createEngineTransport, type EngineTransport } from '../proxy/engine-transport.ts';
import { createPeerDialer, type PeerDialer } from '../proxy/peer-dialer.ts';
import type { Ground } from './ground.ts';

/** How this agent reaches its engine and the other agents. */
export interface Reach extends Startable {
  readonly engine: EngineTransport;
  readonly peers: PeerTransports;
  readonly breakers: Breakers;
  readonly dial: PeerDialer;
}

export function buildReach({ config, log, identity }: Ground, cluster: Cluster): Reach {
  const needs = {
    view: () => cluster.view(),
    onViewChange: (listener: (view: ClusterView) => void) => cluster.onChange(listener),
  };
  const engine = createEngineTransport({ socketPath: config.agent.dockerSocket });
  const passSignature = config.cluster.secret === undefined;
  const peers = createPeerTransports(needs, { ...identity.peer, passSignature });
  const breakers = createBreakers({ ...needs, probe: peers.probe, log: log.child('breakers') });
  return {
    name: 'transports',
    engine,
    peers,
    breakers,
    dial: createPeerDialer(identity.peer),
    start(): Promise<void> {
      peers.start();
      breakers.start();
      return Promise.resolve();
    },
    async stop(): Promise<void> {
      breakers.stop();
      await Promise.all([peers.stop(), engine.close()]);
    },
  };
}

export function openBreakers(cluster: Cluster, breakers: Breakers): number {
  return cluster.view().members.filter((member) => breakers.openSince(member) !== undefined).length;
}
