// The composition root: builds every service, hands each what it needs, starts them in order and stops them in reverse.
// The only file that wires.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { createCompatGate } from './api/compat.ts';
import { createControl } from './api/control.ts';
import { createFail } from './api/error-response.ts';
import { decideHealth } from './api/health.ts';
import { createMetrics } from './api/metrics.ts';
import { createMetricsServer } from './api/metrics-server.ts';
import { createObserve } from './api/observe.ts';
import { createOwnRoutes } from './api/own-routes.ts';
import { createPeerAgent, postToPeer } from './api/peer-client.ts';
import { createPeerGate } from './api/peers.ts';
import { readHostInfo } from './api/routes/host-info.ts';
import { createListener, type Listener } from './api/server.ts';
import { isHijack } from './api/target.ts';
import { answerExchange, createSpread, type Spread, type SpreadPeer } from './auth/association-spread.ts';
import { openAssociationStore } from './auth/association-store.ts';
import type { AssociationStore } from './auth/auth.ts';
import { createAuthenticator } from './auth/authenticator.ts';
import { createIdentity, createServerCertificate, fingerprintOf, type Identity } from './auth/identity.ts';
import type { Cluster, Member } from './cluster/cluster.ts';
import { createLoneCluster } from './cluster/lone-cluster.ts';
import type { Config } from './config/config.ts';
import { createDocker, type Docker } from './docker/docker.ts';
import { type Startable, startAll, stopAll } from './lifecycle.ts';
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
  const { config, log, docker } = ground;
  const cluster = buildCluster(ground);
  const reach = buildReach(ground, cluster);
  const metrics = createMetrics(
    { view: cluster.view, engine: docker.health, openBreakers: () => openBreakers(cluster, reach.breakers) },
    { agentVersion },
  );
  const listeners = buildListeners(ground, cluster, reach, createObserve(metrics));
  const spread = buildSpread(ground, cluster, reach.dial);
  let draining = false;
  const health = () => {
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
  const services: Startable[] = [
    reach,
    compatService(ground, listeners.compat),
    ...(config.api.metrics === undefined
      ? []
      : [createMetricsServer({ metrics, health, log: log.child('metrics') }, config.api.metrics)]),
    createControl({ keys: keysOf(ground, spread), health, log: log.child('control') }, config.api),
    service('cluster', cluster.start, cluster.stop),
    ...(spread === undefined ? [] : [spread]),
  ];
  return {
    services,
    leave: cluster.stop,
    async drain(deadline): Promise<void> {
      draining = true;
      await Promise.all([listeners.compat.drain(deadline), listeners.peers.drain(deadline)]);
    },
  };
}

/** How this agent reaches its engine and the other agents. */
interface Reach extends Startable {
  readonly engine: EngineTransport;
  readonly peers: PeerTransports;
  readonly breakers: Breakers;
  readonly dial: PeerDialer;
}

function buildReach({ config, log, identity }: Ground, cluster: Cluster): Reach {
  const needs = { view: cluster.view, onViewChange: cluster.onChange };
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

function buildListeners(
  ground: Ground,
  cluster: Cluster,
  reach: Reach,
  observe: ReturnType<typeof createObserve>,
): Listeners {
  const { config, log, association } = ground;
  const clustered = isClustered(ground);
  const hasSecret = config.cluster.secret !== undefined;
  const authenticator = createAuthenticator({ association }, { secret: config.auth.secret });
  const lists = createLists(
    {
      engine: reach.engine,
      askMember: reach.peers.fetchDecorated,
      breakers: reach.breakers,
      nodeName: () => cluster.view().self.record.nodeName,
    },
    { ...config.fanOut, passSignature: !hasSecret },
  );
  const answerHeaders = compatHeaders(config);
  const apiLog = log.child('api');
  const fail = createFail(apiLog, answerHeaders);
  const carriers = {
    view: cluster.view,
    engine: reach.engine,
    peer: reach.peers.to,
    mergeList: lists.merge,
    observe,
  };
  const limits = { clustered, memberTimeoutMs: config.fanOut.memberTimeoutMs };
  const own = createOwnRoutes(
    {
      view: cluster.view,
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
    view: cluster.view,
    // Answers to peers carry none of the compat listener's headers: the entry agent adds them once.
    proxy: createDockerProxy({ ...carriers, fail: createFail(apiLog, []) }, limits),
    servePart: lists.servePart,
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

function compatService({ config, log, association }: Ground, compat: Listener): Startable {
  let timer: NodeJS.Timeout | undefined;
  return service(
    'compat',
    async () => {
      const { host, port } = config.api;
      const { cert, key } = await createServerCertificate([config.cluster.advertiseAddr ?? host]);
      const address = await compat.listen(host, port, { ...compatTls, cert, key });
      log.info('listening', { listener: 'compat', address: address.address, port: address.port });
      if (config.auth.secret !== undefined) return;
      // An agent that nobody paired must not wait for whoever comes first, for ever (agent-api.md 5.5).
      timer = setTimeout(() => {
        if (association.current().key !== undefined) return;
        log.warn('compat listener closed: not associated in time', {
          afterMs: config.auth.associationTimeoutMs,
        });
        void compat.drain(AbortSignal.timeout(config.api.drainMs));
      }, config.auth.associationTimeoutMs);
    },
    () => {
      clearTimeout(timer);
      return compat.drain(AbortSignal.abort());
    },
  );
}

/** agent-api.md 3.2; TLS 1.3 brings its own suites. */
const compatTls = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
  ].join(':'),
} as const;

/** Told to cluster: by a Swarm, by seeds, or by a name to find the others at. Podman never clusters. */
function isClustered({ config, docker }: Pick<Ground, 'config' | 'docker'>): boolean {
  if (config.agent.podman) return false;
  const { seeds, addr } = config.cluster;
  return docker.facts().swarm !== undefined || seeds.length > 0 || addr !== undefined;
}

function buildCluster({ docker, config, identity }: Ground): Cluster {
  return createLoneCluster(() => {
    const facts = docker.facts();
    return {
      ...facts,
      peerId: '',
      nodeId: facts.engineId,
      role: undefined,
      leader: false,
      agentVersion,
      address: config.cluster.advertiseAddr ?? '',
      apiPort: config.api.port,
      peerPort: config.cluster.peerPort,
      gossipPort: config.cluster.gossipPort,
      tlsFingerprint: identity.peer.fingerprint,
      generation: 0,
      incarnation: 0,
      edgeKeySet: false,
    };
  });
}

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
      return { nodes: [{ node: docker.facts().nodeName, outcome: 'forgotten' }, ...others] };
    },
  };
}

function openBreakers(cluster: Cluster, breakers: Breakers): number {
  return cluster.view().members.filter((member) => breakers.openSince(member) !== undefined).length;
}

function service(
  name: string,
  start: (signal: AbortSignal) => Promise<void>,
  stop: (signal: AbortSignal) => Promise<void>,
): Startable {
  return { name, start, stop };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function readProcFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // Not on Linux, or hidden: then nothing can be learned from it.
    return '';
  }
}
