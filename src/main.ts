// The composition root: builds every service, hands each what it needs, starts them in order and stops them in reverse.
// Only this file and compose/ wire.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { createControl } from './api/control.ts';
import { decideHealth, type HealthReport } from './api/health.ts';
import { createMetrics } from './api/metrics.ts';
import { createMetricsServer } from './api/metrics-server.ts';
import { peerTls } from './api/tls.ts';
import { openAssociationStore } from './auth/association-store.ts';
import { createIdentity } from './auth/identity.ts';
import { buildCompat } from './compose/compat.ts';
import { buildEdge, openEdgeKeys } from './compose/edge.ts';
import { buildSockets } from './compose/endpoint.ts';
import { type Ground, isClustered } from './compose/ground.ts';
import { buildListeners, buildLists } from './compose/listeners.ts';
import { buildCluster, buildSpread } from './compose/membership.ts';
import { controlOf } from './compose/operation.ts';
import { buildReach, openBreakers } from './compose/reach.ts';
import type { Config } from './config/config.ts';
import { createDocker } from './docker/docker.ts';
import { aborted, type Startable, startAll, stopAll } from './lifecycle.ts';
import type { Logger } from './log.ts';
import { agentVersion } from './version.ts';

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
  const edgeKeys = await openEdgeKeys(config, log);
  const identity = await createIdentity();
  const agent = buildAgent({ config, log, docker, association, identity, edgeKeys });
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

interface Agent {
  /** In the order of their start. */
  readonly services: readonly Startable[];
  drain(deadline: AbortSignal): Promise<void>;
  leave(deadline: AbortSignal): Promise<void>;
}

function buildAgent(ground: Ground): Agent {
  const { config, log, docker, identity } = ground;
  let apiAt = { address: config.api.host, port: config.api.port };
  let draining = false;
  const cluster = buildCluster(
    ground,
    () => apiAt.port,
    async (address, host) => {
      await compat.onAdvertise(address, host);
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
  const edge = buildEdge(ground, { cluster, dial: reach.dial, apiAt: () => apiAt });
  const lists = buildLists(ground, cluster, reach, metrics);
  const on = { ground, cluster, reach, metrics, lists, edge: edge?.gate };
  const listeners = buildListeners(on);
  const sockets = buildSockets(on);
  const spread = buildSpread(ground, cluster, reach.dial);
  const health = (): HealthReport => {
    const { members, missing, state } = cluster.view();
    return decideHealth({
      engine: docker.health(),
      cluster: isClustered(ground) ? state : 'alone',
      listener: listeners.compat.state(),
      draining,
      edge: edge?.state(),
      nodeName: docker.facts().nodeName,
      members: members.length,
      missing: missing.map(({ nodeName }) => nodeName),
      nowMs: Date.now(),
    });
  };
  const compat = buildCompat(ground, listeners.compat, (at) => {
    apiAt = at;
  });
  return {
    services: [
      reach,
      compat.service,
      // Returns at once: whoever asks in the meantime is told that the cluster is joining.
      cluster,
      ...optional(config.api.metrics, (at) =>
        createMetricsServer({ metrics, health, log: log.child('metrics') }, at),
      ),
      createControl(controlOf(ground, { cluster, dial: reach.dial, spread, health, edge }), config.api),
      ...optional(spread, (each) => each),
      sockets,
      ...(edge?.services ?? []),
    ],
    leave: (deadline) => cluster.stop(deadline),
    async drain(deadline): Promise<void> {
      draining = true;
      listeners.consoles.stop();
      await Promise.all([
        listeners.compat.drain(deadline),
        listeners.peers.drain(deadline),
        sockets.drain(deadline),
      ]);
    },
  };
}

function optional<T, R>(value: T | undefined, build: (value: T) => R): readonly R[] {
  return value === undefined ? [] : [build(value)];
}

async function readProcFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // Not on Linux, or hidden: then nothing can be learned from it.
    return '';
  }
}
