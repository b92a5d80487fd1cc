// Builds Edge mode: the key and its ways to the other agents, the page, the poller, and the API's address there.

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { EdgeGate } from '../api/compat.ts';
import { postToPeer } from '../api/peer-client.ts';
import { createEdgeKeyRoute } from '../api/routes/edge-key.ts';
import { systemClock } from '../cluster/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Config, EdgeConfig } from '../config/config.ts';
import type { Docker } from '../docker/docker.ts';
import type { EdgeKeys, EdgeState, Tunnel } from '../edge/edge.ts';
import { createEdgeAgent, type EdgeAgent } from '../edge/edge-agent.ts';
import { encodeEdgeKey, parseEdgeKey } from '../edge/edge-key.ts';
import { createKeySpread, type KeyPeer } from '../edge/key-spread.ts';
import { openKeyStore } from '../edge/key-store.ts';
import { createTunnel } from '../edge/tunnel/tunnel.ts';
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
/** An engine that was silent for this long may have been replaced as leader. */
const leaderSilenceMs = 15_000;

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
  const agent = createEdgeAgent(
    {
      keys,
      tunnel: edge.tunnel ? buildTunnel(edge, apiAt, log) : undefined,
      ...buildEdgeJobs(config, edge, docker, log),
      mayPoll: () => pollsHere(docker, config.agent.podman, Date.now()),
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
    gate: buildGate(keys, agent, hasSecret, log),
    state: agent.state,
  };
}

/** Where the API listens when it does not cluster: never on all addresses, because it is plain HTTP. */
export async function edgeApiHost({ config, docker }: Ground, signal: AbortSignal): Promise<string> {
  if (config.cluster.advertiseAddr !== undefined) return config.cluster.advertiseAddr;
  const container = await docker.ownContainer(signal);
  return container?.addresses[0]?.address ?? '127.0.0.1';
}

function buildTunnel(edge: EdgeConfig, apiAt: ApiAt, log: Logger): Tunnel {
  const { proxies } = edge;
  return createTunnel(
    { dialLocal: () => dialApi(apiAt), clock: systemClock, random: Math.random, log },
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

/** Through the listener and its gate, so that what comes through the tunnel is checked as everything else. */
async function dialApi(apiAt: ApiAt): Promise<Socket> {
  const { address, port } = apiAt();
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  return socket;
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

function buildGate(keys: EdgeKeys, agent: EdgeAgent, hasSecret: boolean, log: Logger): EdgeGate {
  const attempts = createAttempts({ monotonicMs: systemClock.monotonicMs });
  const encode = (): string => {
    const key = keys.current();
    return key === undefined ? '' : encodeEdgeKey(key, agent.environmentId());
  };
  return {
    isAssociated: () => keys.current() !== undefined,
    serveKey: createEdgeKeyRoute({ keys, encode, takeAttempt: attempts.take, log }, { hasSecret }),
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

/** Alone, on Podman, or on the Swarm's leader, as long as its engine says so. */
function pollsHere(docker: Docker, podman: boolean, nowMs: number): boolean {
  const { swarm } = docker.facts();
  if (podman || swarm === undefined) return true;
  const health = docker.health();
  const isSilent = health.kind === 'unreachable' && nowMs - health.sinceMs > leaderSilenceMs;
  return swarm.role === 'manager' && swarm.leader && !isSilent;
}

function onRoleChange(docker: Docker, listener: () => void): () => void {
  const timer = setInterval(listener, roleIntervalMs);
  const undo = docker.onChange(listener);
  return () => {
    clearInterval(timer);
    undo();
  };
}
