// Builds the two TCP listeners, each with its gate, and the proxy behind them.

import { Agent, type Dispatcher } from 'undici';
import { createCompatGate, type EdgeGate } from '../api/compat.ts';
import { createFail, type Fail } from '../api/error-response.ts';
import type { Metrics } from '../api/metrics.ts';
import { createObserve } from '../api/observe.ts';
import { observeEngineErrors, observeParts } from '../api/observe-outcome.ts';
import { createOwnRoutes } from '../api/own-routes.ts';
import { createPeerAgent } from '../api/peer-client.ts';
import { createPeerGate } from '../api/peers.ts';
import { createBrowseRoutes, type ServeBrowse } from '../api/routes/browse.ts';
import { createDockerHub, type DockerHub } from '../api/routes/dockerhub.ts';
import { readHostInfo } from '../api/routes/host-info.ts';
import {
  type Consoles,
  type ConsolesNeeds,
  type ConsolesOptions,
  createConsoles,
} from '../api/routes/websocket.ts';
import { isConsoleUpgrade } from '../api/routes/websocket-plan.ts';
import { createListener, type Listener, type ServerNeeds, type ServerOptions } from '../api/server.ts';
import { isHijack } from '../api/target.ts';
import { answerExchange } from '../auth/association-spread.ts';
import { createAuthenticator } from '../auth/authenticator.ts';
import { fingerprintOf } from '../auth/identity.ts';
import { createBrowse } from '../browse/browse.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Config } from '../config/config.ts';
import { answerKeyExchange } from '../edge/key-spread.ts';
import { createProxyDispatcher } from '../edge/proxy-dispatcher.ts';
import { trustSystem } from '../edge/system-trust.ts';
import type { Logger } from '../log.ts';
import { streamClassOf } from '../proxy/classify.ts';
import { requestHeaders } from '../proxy/headers.ts';
import { createLists, type Lists } from '../proxy/lists.ts';
import { createFindOwner } from '../proxy/owner/full-id.ts';
import { createDockerProxy } from '../proxy/proxy.ts';
import { agentVersion } from '../version.ts';
import { flotillaHeaders, portainerHeaders } from '../wire.ts';
import { type Ground, isClustered } from './ground.ts';
import type { Reach } from './reach.ts';

export interface Listeners {
  readonly compat: Listener;
  readonly peers: Listener;
  readonly consoles: Pick<Consoles, 'stop'>;
}

/** The merged lists of this node's own engine and of the others, for all who serve them. */
export function buildLists({ config }: Ground, cluster: Cluster, reach: Reach, metrics: Metrics): Lists {
  return createLists(
    {
      engine: reach.engine,
      askMember: observeParts(metrics, reach.peers.fetchDecorated),
      breakers: reach.breakers,
      nodeName: () => cluster.view().self.record.nodeName,
    },
    { ...config.fanOut, passSignature: config.cluster.secret === undefined },
  );
}

export interface ListenersGround {
  readonly ground: Ground;
  readonly cluster: Cluster;
  readonly reach: Reach;
  readonly metrics: Metrics;
  readonly lists: Lists;
  /** Undefined outside Edge mode. */
  readonly edge: EdgeGate | undefined;
}

export function buildListeners({ ground, cluster, reach, metrics, lists, edge }: ListenersGround): Listeners {
  const observe = createObserve(metrics);
  const { config, log, association, edgeKeys } = ground;
  const clustered = (): boolean => isClustered(ground);
  const hasSecret = config.cluster.secret !== undefined;
  const authenticator = createAuthenticator({ association }, { secret: config.auth.secret });
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
  const consoles = buildConsoles({ ground, cluster, reach }, { clustered, answerHeaders, fail });
  const own = createOwnRoutes(
    {
      view: () => cluster.view(),
      peerAgent: (member) => createPeerAgent(reach.dial, member),
      // Without a secret the member verifies the client's signature itself.
      travelling: (rawHeaders) =>
        requestHeaders(rawHeaders, { keepSignature: !hasSecret, keepUpgrade: false }),
      hostInfo: () => readHostInfo(config.agent.hostRoot),
      consoles,
      dockerHub: buildDockerHub(ground),
      browse: buildBrowse(ground),
      fail,
      log: apiLog,
    },
    { clustered, answerHeaders },
  );
  const compatGate = createCompatGate(
    {
      authenticator,
      proxy: createDockerProxy({ ...carriers, fail }, limits),
      serveOwn: own.serve,
      fail,
      observe,
      edge,
      log: apiLog,
    },
    { answerHeaders },
  );
  // Answers to peers carry none of the compat listener's headers: the entry agent adds them once.
  const failPeer = observeEngineErrors(metrics, createFail(apiLog, []));
  const peerGate = createPeerGate({
    view: () => cluster.view(),
    proxy: createDockerProxy({ ...carriers, fail: failPeer }, limits),
    servePart: lists.servePart,
    engineHangs: reach.engine.hangs,
    serveOwn: own.serveHere,
    exchangeAssociation: hasSecret ? (body) => answerExchange(association, body) : undefined,
    exchangeEdgeKey: edgeKeys === undefined ? undefined : (body) => answerKeyExchange(edgeKeys, body),
    fingerprintOf,
    authenticator: hasSecret ? undefined : authenticator,
    log: log.child('peers'),
  });
  const listener = (handle: ServerNeeds['handle'], refuse: Fail): Listener =>
    createAgentListener({ handle, refuse, log: apiLog }, config.api);
  return {
    compat: listener(compatGate.handle, fail),
    peers: listener(peerGate.handle, failPeer),
    consoles,
  };
}

function createAgentListener(
  { handle, refuse, log }: Pick<ServerNeeds, 'handle' | 'refuse'> & { readonly log: Logger },
  options: ServerOptions,
): Listener {
  return createListener(
    {
      handle,
      refuse,
      isHijack: (method, target, upgrade) =>
        isHijack(streamClassOf, method, target, upgrade) || isConsoleUpgrade(method, target, upgrade),
      onBadRequest: (reason) => log.debug('bad request', { reason }),
    },
    options,
  );
}

/** The rules of Edge polling: which proxy is decided by the scheme, and `NO_PROXY` by the host. */
function buildDockerHub({ config, log }: Ground): DockerHub {
  const { proxies } = config.dockerHub;
  const direct = new Agent();
  let proxied: Dispatcher | undefined;
  return createDockerHub(
    {
      dispatcherOf(url) {
        if ((url.startsWith('https:') ? proxies.https : proxies.http) === undefined) return direct;
        // A proxy that looks into TLS is known to the system only.
        trustSystem();
        proxied ??= createProxyDispatcher(proxies, { minVersion: 'TLSv1.2' }, hubIdleMs);
        return proxied;
      },
      log: log.child('dockerhub'),
    },
    config.dockerHub,
  );
}

/** For the second of two calls; nobody asks again soon. */
const hubIdleMs = 4_000;

function buildBrowse({ config, docker, log }: Ground): ServeBrowse {
  const browse = createBrowse(
    { volumeMountpoint: docker.volumeMountpoint, engineRootDir: () => docker.facts().rootDir },
    { hostRoot: config.agent.hostRoot, hostBrowse: config.browse.hostBrowse },
  );
  return createBrowseRoutes({ browse, log: log.child('browse') });
}

function buildConsoles(
  { ground, cluster, reach }: Pick<ListenersGround, 'ground' | 'cluster' | 'reach'>,
  on: Pick<ConsolesOptions, 'clustered' | 'answerHeaders'> & Pick<ConsolesNeeds, 'fail'>,
): Consoles {
  const { config, log } = ground;
  const { engine, peers } = reach;
  const needs = { view: () => cluster.view(), engine, peer: peers.to };
  return createConsoles(
    {
      ...needs,
      hijack: engine.hijack,
      findOwner: createFindOwner(needs, config.fanOut),
      fail: on.fail,
      log: log.child('consoles'),
    },
    on,
  );
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
