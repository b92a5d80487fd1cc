// The composition root: builds every service, hands each what it needs, starts them in order and stops them in reverse.
// The only file that wires.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { createCompatGate } from './api/compat.ts';
import { createCompatService } from './api/compat-service.ts';
import { createControl } from './api/control.ts';
import { createFail } from './api/error-response.ts';
import { decideHealth, type HealthReport } from './api/health.ts';
import { createMetrics, type Metrics } from './api/metrics.ts';
import { createMetricsServer } from './api/metrics-server.ts';
import { createObserve } from './api/observe.ts';
import { observeEngineErrors, observeParts } from './api/observe-outcome.ts';
import { createOwnRoutes } from './api/own-routes.ts';
import { createPeerAgent, postToPeer } from './api/peer-client.ts';
import { createPeerGate } from './api/peers.ts';
import { readHostInfo } from './api/routes/host-info.ts';
import { createListener, type Listener } from './api/server.ts';
import { isHijack } from './api/target.ts';
import { compatTls, peerTls } from './api/tls.ts';
import { answerExchange, createSpread, type Spread, type SpreadPeer } from './auth/association-spread.ts';
import { openAssociationStore } from './auth/association-store.ts';
import type { AssociationStore } from './auth/auth.ts';
import { createAuthenticator } from './auth/authenticator.ts';
import { createIdentity, createServerCertificate, fingerprintOf, type Identity } from './auth/identity.ts';
import { systemClock } from './cluster/clock.ts';
import { type Cluster, type ClusterView, createCluster, type Member } from './cluster/cluster.ts';
import type { Config } from './config/config.ts';
import { createDocker, type Docker } from './docker/docker.ts';
import { aborted, type Startable, startAll, stopAll } from './lifecycle.ts';
import type { Logger } from './log.ts';
import { createPeerTransports, type PeerTransports } from './proxy/agent-transport.ts';
import { type Breakers, createBreakers } from './proxy/breakers.ts';
import { streamClassOf } from './proxy/classify.ts';
import { createEngineTransport, type EngineTransport } from './proxy/engine-transport.ts';
import { createLists } from './proxy/lists.ts';
import { createPeerDialer, type PeerDialer } from './proxy/peer-dialer.ts';
import { createDockerProxy } from './proxy/proxy.ts';
import { agentVersion } from './version.ts';
import { flotillaHeaders, peerPaths, portainerHeaders } from './wire.ts';

/** Runs until the signal, then drains, leaves the cluster and stops. Rejects when something cannot start. */
export async function runAgent(config: Config, log: Logger, signal: AbortSignal): Promise<void> {
  const docker = createDocker(
    { log: log.child('docker'), hostName: hostname(), readProcFile, nowMs: Date.now },
    { dockerSocket: config.agent.dockerSocket },
  );
  await docker.start(signal);
  const association = await openAssociationStore(
    { log: log.child('auth'), nowMs: Date.now, nodeName: () => docker.facts().nodeName },
    config.auth.dataPath,
  );
  const agent = buildAgent({ config, log, docker, association, identity: await createIdentity() });
  await startAll(agent.services, signal);
  if (isClustered({ config, docker }) && config.cluster.secret === undefined) {
    log.warn(
      'clustered without a secret: any host on the network may join, and is told which nodes there are',
      {
        remedy: 'set FLOTILLA_CLUSTER_SECRET or FLOTILLA_CLUSTER_SECRET_FILE on all agents',
      },
    );
  }
  log.info('ready', { node: docker.facts().nodeName });
  await aborted(signal);

  const deadline = AbortSignal.timeout(config.api.drainMs);
  // Stop accepting first, then tell the others, while streams in progress go on up to the deadline.
  const drained = agent.drain(deadline);
  await agent.leave(deadline);
  await drained;
  await stopAll([docker, ...agent.services], AbortSignal.timeout(stopTimeoutMs));
  await association.saved();
}

/** For everything behind the drained listeners. */
const stopTimeoutMs = 2_000;

/** What everything else is built on. */
interface Ground {
  readonly config: Config;
  readonly log: Logger;
  readonly docker: Docker;
  readonly identity: Identity;
  readonly association: AssociationStore;
}

interface Agent {
  /** In the order of their start. */
  readonly services: readonly Startable[];
  drain(deadline: AbortSignal): Promise<void>;
  leave(deadline: AbortSignal): Promise<void>;
}

function buildAgent(ground: Ground): Agent {
  const { config, log, docker, identity, association } = ground;
  let apiPort = config.api.port;
  let draining = false;
  const cluster = buildCluster(
    ground,
    () => apiPort,
    async (address, host) => {
      listeners.compat.renewCertificate(compatTls(await createServerCertificate([address])));
      const { port } = await listeners.peers.listen(host, config.cluster.peerPort, peerTls(identity.peer));
      log.info('listening', { listener: 'peers', address: host, port });
      return port;
    },
  );
  const reach = buildReach(ground, cluster);
  const metrics = createMetrics(
    {
      view: () => cluster.view(),
      engine: docker.health,
      openBreakers: () => openBreakers(cluster, reach.breakers),
    },
    { agentVersion },
  );
  const listeners = buildListeners(ground, cluster, reach, metrics);
  const spread = buildSpread(ground, cluster, reach.dial);
  const health = (): HealthReport => {
    const { members, missing, state } = cluster.view();
    return decideHealth({
      engine: docker.health(),
      cluster: isClustered(ground) ? state : 'alone',
      listener: listeners.compat.state(),
      draining,
      nodeName: docker.facts().nodeName,
      members: members.length,
      missing: missing.map(({ nodeName }) => nodeName),
      nowMs: Date.now(),
    });
  };
  const compat = createCompatService(
    {
      listener: listeners.compat,
      tls: async () =>
        compatTls(await createServerCertificate([config.cluster.advertiseAddr ?? config.api.host])),
      needsAssociation: config.auth.secret === undefined,
      isAssociated: () => association.current().key !== undefined,
      onListening: (port) => {
        apiPort = port;
      },
      log,
    },
    { ...config.api, ...config.auth },
  );
  return {
    services: [
      reach,
      compat,
      // Returns at once: whoever asks in the meantime is told that the cluster is joining.
      cluster,
      ...optional(config.api.metrics, (at) =>
        createMetricsServer({ metrics, health, log: log.child('metrics') }, at),
      ),
      createControl({ keys: keysOf(ground, spread), health, log: log.child('control') }, config.api),
      ...optional(spread, (each) => each),
    ],
    leave: (deadline) => cluster.stop(deadline),
    async drain(deadline): Promise<void> {
      draining = true;
      await Promise.all([listeners.compat.drain(deadline), listeners.peers.drain(deadline)]);
    },
  };
}

function optional<T, R>(value: T | undefined, build: (value: T) => R): readonly R[] {
  return value === undefined ? [] : [build(value)];
}

/** How this agent reaches its engine and the other agents. */
interface Reach extends Startable {
  readonly engine: EngineTransport;
  readonly peers: PeerTransports;
  readonly breakers: Breakers;
  readonly dial: PeerDialer;
}

function buildReach({ config, log, identity }: Ground, cluster: Cluster): Reach {
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

interface Listeners {
  readonly compat: Listener;
  readonly peers: Listener;
}

function buildListeners(ground: Ground, cluster: Cluster, reach: Reach, metrics: Metrics): Listeners {
  const observe = createObserve(metrics);
  const { config, log, association } = ground;
  const clustered = (): boolean => isClustered(ground);
  const hasSecret = config.cluster.secret !== undefined;
  const authenticator = createAuthenticator({ association }, { secret: config.auth.secret });
  const lists = createLists(
    {
      engine: reach.engine,
      askMember: observeParts(metrics, reach.peers.fetchDecorated),
      breakers: reach.breakers,
      nodeName: () => cluster.view().self.record.nodeName,
    },
    { ...config.fanOut, passSignature: !hasSecret },
  );
  const answerHeaders = compatHeaders(config);
  const apiLog = log.child('api');
  const fail = observeEngineErrors(metrics, createFail(apiLog, answerHeaders));
  const carriers = {
    view: () => cluster.view(),
    engine: reach.engine,
    peer: reach.peers.to,
    mergeList: lists.merge,
    observe,
  };
  const limits = { clustered, memberTimeoutMs: config.fanOut.memberTimeoutMs };
  const own = createOwnRoutes(
    {
      view: () => cluster.view(),
      peerAgent: (member) => createPeerAgent(reach.dial, member),
      hostInfo: () => readHostInfo(config.agent.hostRoot),
      fail,
    },
    { clustered, answerHeaders, keepSignature: !hasSecret },
  );
  const compatGate = createCompatGate(
    {
      authenticator,
      proxy: createDockerProxy({ ...carriers, fail }, limits),
      serveOwn: own.serve,
      fail,
      observe,
      log: apiLog,
    },
    { answerHeaders },
  );
  const peerGate = createPeerGate({
    view: () => cluster.view(),
    // Answers to peers carry none of the compat listener's headers: the entry agent adds them once.
    proxy: createDockerProxy(
      { ...carriers, fail: observeEngineErrors(metrics, createFail(apiLog, [])) },
      limits,
    ),
    servePart: lists.servePart,
    engineHangs: reach.engine.hangs,
    serveOwn: own.serveHere,
    exchangeAssociation: hasSecret ? (body) => answerExchange(association, body) : undefined,
    fingerprintOf,
    authenticator: hasSecret ? undefined : authenticator,
    log: log.child('peers'),
  });
  const listener = (handle: typeof compatGate.handle): Listener =>
    createListener(
      {
        handle,
        isHijack: (method, target, upgrade) => isHijack(streamClassOf, method, target, upgrade),
        onBadRequest: (reason) => apiLog.debug('bad request', { reason }),
      },
      config.api,
    );
  return { compat: listener(compatGate.handle), peers: listener(peerGate.handle) };
}

/** On every answer of the compat listener (agent-api.md 4); the platform is 1 for Docker and for Podman. */
function compatHeaders({ agent }: Config): readonly string[] {
  return [
    portainerHeaders.agent,
    agent.portainerVersion,
    portainerHeaders.apiVersion,
    '2',
    portainerHeaders.platform,
    '1',
    flotillaHeaders.version,
    agentVersion,
  ];
}

/** Told to cluster: by a Swarm, by seeds, or by a name to find the others at. Podman never clusters. */
function isClustered({ config, docker }: Pick<Ground, 'config' | 'docker'>): boolean {
  if (config.agent.podman) return false;
  const { seeds, addr } = config.cluster;
  return docker.facts().swarm !== undefined || seeds.length > 0 || addr !== undefined;
}

/** `onAdvertise` opens the peer listener before our record says where it is. */
function buildCluster(ground: Ground, apiPort: () => number, onAdvertise: OnAdvertise): Cluster {
  const { config, docker, identity, log } = ground;
  return createCluster(
    {
      facts: docker.facts,
      onFactsChange: docker.onChange,
      ownContainer: docker.ownContainer,
      taskAddresses: docker.taskAddresses,
      tlsFingerprint: identity.peer.fingerprint,
      identitySeed: identity.seed,
      edgeKeySet: () => false,
      onAdvertise,
      clock: systemClock,
      random: Math.random,
      log: log.child('cluster'),
    },
    {
      ...config.cluster,
      // Port 0 in the configuration is whatever the compat listener was given.
      get apiPort(): number {
        return apiPort();
      },
      agentVersion,
    },
  );
}

type OnAdvertise = (address: string, listen: string) => Promise<number>;

/** Only with a secret does a member have the authority to say who is associated. */
function buildSpread(
  { config, log, association }: Ground,
  cluster: Cluster,
  dial: PeerDialer,
): Spread | undefined {
  if (config.cluster.secret === undefined) return undefined;
  const toPeer = (member: Member): SpreadPeer => ({
    nodeName: member.record.nodeName,
    exchange: (body, signal) => postToPeer(dial, member, peerPaths.association, body, signal),
  });
  return createSpread({
    store: association,
    peers: () =>
      cluster
        .view()
        .members.filter(({ self }) => !self)
        .map(toPeer),
    onAppeared: (listener) =>
      cluster.onChange((view, before) => {
        const known = new Set(before.members.map(({ record }) => record.peerId));
        const appeared = view.members.filter(({ self, record }) => !self && !known.has(record.peerId));
        if (appeared.length > 0) listener(appeared.map(toPeer));
      }),
    random: Math.random,
    log: log.child('auth'),
  });
}

function keysOf(
  { association, docker }: Ground,
  spread: Spread | undefined,
): Parameters<typeof createControl>[0]['keys'] {
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

function openBreakers(cluster: Cluster, breakers: Breakers): number {
  return cluster.view().members.filter((member) => breakers.openSince(member) !== undefined).length;
}

async function readProcFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // Not on Linux, or hidden: then nothing can be learned from it.
    return '';
  }
}
