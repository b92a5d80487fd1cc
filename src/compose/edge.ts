// Builds Edge mode: the key and its ways to the other agents, the page, the poller, and the API's address there.

import { existsSync } from 'node:fs';
import type { EdgeGate } from '../api/compat.ts';
import { postToPeer } from '../api/peer-client.ts';
import { createEdgeKeyRoute } from '../api/routes/edge-key.ts';
import { systemClock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { localAddresses } from '../cluster/own-address.ts';
import type { Config, EdgeConfig } from '../config/config.ts';
import type { Docker } from '../docker/docker.ts';
import { type ApiWay, createApiWay } from '../edge/api-way.ts';
import type { EdgeKeys, EdgeState, Tunnel } from '../edge/edge.ts';
import { createEdgeAgent, type EdgeAgent } from '../edge/edge-agent.ts';
import { encodeEdgeKey, parseEdgeKey } from '../edge/edge-key.ts';
import { createKeySpread, type KeyPeer } from '../edge/key-spread.ts';
import { openKeyStore } from '../edge/key-store.ts';
import { createRole } from '../edge/role.ts';
import { createTunnel } from '../edge/tunnel/tunnel.ts';
import type { Exchange } from '../exchange.ts';
import type { Startable } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { PeerDialer } from '../proxy/peer-dialer.ts';
import { createAttempts } from '../ui/attempts.ts';
import { createSetupPage } from '../ui/ui.ts';
import { peerPaths } from '../wire.ts';
import { buildEdgeJobs } from './edge-jobs.ts';
import type { Ground } from './ground.ts';

/** How often the role is looked at beside the changes that are told. */
const roleIntervalMs = 1_000;
const loopback = '127.0.0.1';

export interface Edge {
  /** In the order of their start. */
  readonly services: readonly Startable[];
  readonly gate: EdgeGate;
  state(): EdgeState;
}

/** Undefined outside Edge mode. Rejects with `config-invalid` when the key that was given or kept is none. */
export async function openEdgeKeys({ edge }: Config, log: Logger): Promise<EdgeKeys | undefined> {
  if (edge === undefined) return undefined;
  return openKeyStore(log.child('edge'), { dataPath: edge.dataPath, given: edge.key });
}

/** Where the compat listener listens now. */
export type ApiAt = () => { readonly address: string; readonly port: number };

export interface EdgeReach {
  readonly cluster: Cluster;
  readonly dial: PeerDialer;
  readonly apiAt: ApiAt;
}

export function buildEdge(ground: Ground, { cluster, dial, apiAt }: EdgeReach): Edge | undefined {
  const { config, docker, edgeKeys: keys } = ground;
  const { edge } = config;
  if (edge === undefined || keys === undefined) return undefined;
  const log = ground.log.child('edge');
  const page = createSetupPage(
    {
      keys,
      parseKey: parseEdgeKey,
      nodeName: () => docker.facts().nodeName,
      clock: systemClock,
      log: ground.log.child('ui'),
    },
    edge.page,
  );
  const spread = createKeySpread({
    keys,
    peers: () => keyPeers(cluster, dial),
    onPeersChange: (listener) => cluster.onChange(listener),
    announce: () => cluster.refresh(),
    clock: systemClock,
    log,
  });
  const way = createApiWay(apiAt);
  const agent = createEdgeAgent(
    {
      keys,
      tunnel: edge.tunnel ? buildTunnel(edge, { apiAt, way, log }) : undefined,
      ...buildEdgeJobs(config, edge, docker, log),
      mayPoll: createRole({ docker, monotonicMs: systemClock.monotonicMs }, config.agent),
      onRoleChange: (listener) => onRoleChange(docker, listener),
      isPageOpen: page.isOpen,
      clock: systemClock,
      random: Math.random,
      log,
    },
    agentOptions(edge, config),
  );
  const hasSecret = config.cluster.secret !== undefined;
  return {
    services: [agent, spread, page],
    gate: buildGate({ keys, agent, way, hasSecret, log }),
    state: agent.state,
  };
}

/** Where the API is to listen when it does not cluster. */
export async function edgeApiHost({ config, docker }: Ground, signal: AbortSignal): Promise<string> {
  const { advertiseAddr } = config.cluster;
  if (advertiseAddr !== undefined) return edgeListenHost(advertiseAddr);
  const container = await docker.ownContainer(signal);
  return edgeListenHost(container?.addresses[0]?.address ?? loopback);
}

/**
 * The API is plain HTTP there, and only the tunnel needs it, since members use the peers' listener: what is not one
 * address of our own (all of them, or that of a host which publishes our port) becomes loopback.
 */
export function edgeListenHost(host: string): string {
  return host.startsWith('127.') || host === '::1' || localAddresses().includes(host) ? host : loopback;
}

interface TunnelGround {
  readonly apiAt: ApiAt;
  readonly way: ApiWay;
  readonly log: Logger;
}

function buildTunnel(edge: EdgeConfig, { apiAt, way, log }: TunnelGround): Tunnel {
  const { proxies } = edge;
  return createTunnel(
    { dialLocal: way.dial, clock: systemClock, random: Math.random, log },
    {
      edgeId: edge.id,
      // Looked at when the tunnel opens: the address is known once the agent listens.
      get target(): { readonly host: string; readonly port: number } {
        const { address, port } = apiAt();
        return { host: address, port };
      },
      inactivityMs: edge.inactivityMs,
      proxy: proxies.https ?? proxies.http,
    },
  );
}

function agentOptions(edge: EdgeConfig, { agent }: Config): Parameters<typeof createEdgeAgent>[1] {
  return {
    edgeId: edge.id,
    insecure: edge.insecurePoll,
    mtls: edge.mtls,
    proxies: edge.proxies,
    identity: {
      agentVersion: agent.portainerVersion,
      // As Go names the zone of a process.
      timeZone: edge.timeZone ?? (existsSync('/etc/localtime') ? 'Local' : 'UTC'),
      updateId: edge.updateId,
    },
    meta: edge.meta,
  };
}

interface GateGround {
  readonly keys: EdgeKeys;
  readonly agent: EdgeAgent;
  readonly way: ApiWay;
  readonly hasSecret: boolean;
  readonly log: Logger;
}

function buildGate({ keys, agent, way, hasSecret, log }: GateGround): EdgeGate {
  const attempts = createAttempts({ monotonicMs: systemClock.monotonicMs });
  const encode = (): string => {
    const key = keys.current();
    return key === undefined ? '' : encodeEdgeKey(key, agent.environmentId());
  };
  const isThroughTunnel = ({ req }: Exchange): boolean => way.isOurs(req.socket);
  return {
    isAssociated: () => keys.current() !== undefined,
    serveKey: createEdgeKeyRoute(
      { keys, encode, takeAttempt: attempts.take, isThroughTunnel, log },
      { hasSecret },
    ),
    isThroughTunnel,
  };
}

function keyPeers(cluster: Cluster, dial: PeerDialer): readonly KeyPeer[] {
  return cluster
    .view()
    .members.filter(({ self }) => !self)
    .map((member) => ({
      nodeName: member.record.nodeName,
      edgeKeySet: member.record.edgeKeySet,
      exchange: (body, signal) => postToPeer(dial, member, peerPaths.edgeKey, body, signal),
    }));
}

function onRoleChange(docker: Docker, listener: () => void): () => void {
  const timer = setInterval(listener, roleIntervalMs);
  const undo = docker.onChange(listener);
  return () => {
    clearInterval(timer);
    undo();
  };
}
