// Builds the whole-cluster Docker API, and the sockets that it is served on.

import { createClusterGate } from '../api/cluster-gate.ts';
import { createFail, toDockerAnswer } from '../api/error-response.ts';
import { createNodeGate } from '../api/node-gate.ts';
import { createObserve } from '../api/observe.ts';
import { observeEngineErrors, observeParts } from '../api/observe-outcome.ts';
import { createListener } from '../api/server.ts';
import { createSockets, type Sockets } from '../api/sockets.ts';
import { isHijack } from '../api/target.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { streamClassOf } from '../proxy/classify.ts';
import { type Ask, type AskOptions, createAsk } from '../proxy/endpoint/ask.ts';
import { createUntrusting } from '../proxy/endpoint/authority.ts';
import { createCommonHeaders } from '../proxy/endpoint/common-headers.ts';
import { createDf } from '../proxy/endpoint/df.ts';
import { createEndpoint, type DockerEndpoint, type EndpointNeeds } from '../proxy/endpoint/endpoint.ts';
import { createFindImages } from '../proxy/endpoint/images-get.ts';
import { createInfo } from '../proxy/endpoint/info.ts';
import { createEndpointLists } from '../proxy/endpoint/lists.ts';
import { createMarkLookup } from '../proxy/endpoint/mark.ts';
import { createNamesakeCreator } from '../proxy/endpoint/namesake.ts';
import { createNetworkInspect } from '../proxy/endpoint/network-inspect.ts';
import { createPing } from '../proxy/endpoint/ping.ts';
import { createPrune } from '../proxy/endpoint/prune.ts';
import { createRouted } from '../proxy/endpoint/routed.ts';
import { createVersion } from '../proxy/endpoint/version.ts';
import { createEvents } from '../proxy/events/events.ts';
import { maxKnownOwners } from '../proxy/owner/known-owners.ts';
import { createLookup, type Lookup } from '../proxy/owner/lookup.ts';
import { startTimer } from '../proxy/timer.ts';
import { isClustered } from './ground.ts';
import type { ListenersGround } from './listeners.ts';
import type { Reach } from './reach.ts';

export function buildSockets(on: ListenersGround): Sockets {
  const { ground, cluster, metrics } = on;
  const { config } = ground;
  const log = ground.log.child('sockets');
  const observe = createObserve(metrics);
  const fail = observeEngineErrors(metrics, createFail(log, [], toDockerAnswer));
  const endpoint = buildEndpoint(on, { fail, observe });
  const view = (): ReturnType<Cluster['view']> => cluster.view();
  return createSockets(
    {
      view,
      onViewChange: (listener) => cluster.onChange(listener),
      createListener: (handle) =>
        createListener(
          {
            handle,
            refuse: fail,
            isHijack: (method, target, upgrade) => isHijack(streamClassOf, method, target, upgrade),
            onBadRequest: (reason) => log.debug('bad request', { reason }),
          },
          config.api,
        ),
      clusterGate: createClusterGate({ endpoint, fail, observe }, config.sockets),
      nodeGate: createNodeGate({ view, toNode: endpoint.toNode, fail, observe }),
      log,
    },
    {
      ...config.sockets,
      hostRoot: config.agent.hostRoot,
      dockerSocket: config.agent.dockerSocket,
      hasSecret: config.cluster.secret !== undefined,
      drainMs: config.api.drainMs,
    },
  );
}

function buildEndpoint(
  { ground, cluster, reach, metrics, lists }: ListenersGround,
  { fail, observe }: Pick<EndpointNeeds, 'fail' | 'observe'>,
): DockerEndpoint {
  const { config, docker } = ground;
  const { engine, peers, breakers } = reach;
  const membersObey = config.cluster.secret !== undefined;
  const untrusting = createUntrusting();
  const now = Date.now;
  const askOptions: AskOptions = { ...config.fanOut, members: membersObey ? 'asked' : 'no-cluster-secret' };
  const ask = createAsk(
    {
      engine: engine.fetch,
      member: (member, request, limits) => peers.to(member).fetch(request, limits),
      breakers,
      now,
    },
    askOptions,
  );
  const lookup = createLookup({ ask, now }, { maxKnownOwners });
  const needs = { ask, now };
  return createEndpoint(
    {
      view: () => (membersObey ? cluster.view() : untrusting(cluster.view())),
      engine,
      peer: peers.to,
      fail,
      observe,
      headers: createCommonHeaders({ facts: docker.facts }),
      merges: {
        ...createEndpointLists(
          {
            ownPart: lists.ownPart,
            memberPart: observeParts(metrics, peers.fetchDecorated),
            breakers,
            lookup: createMarkLookup({ lookup, now }),
            now,
          },
          askOptions,
        ),
        df: createDf(needs),
        info: createInfo(needs),
        version: createVersion(needs),
        ping: createPing(needs),
      },
      events: createEvents(
        {
          engine: engine.open,
          member: (member, request, limits) => peers.to(member).open(request, limits),
          breakers,
          view: () => cluster.view(),
          onViewChange: (listener) => cluster.onChange(listener),
          now,
          startTimer,
          random: Math.random,
          log: ground.log.child('events'),
        },
        askOptions,
      ),
      prune: pruneHandlers(needs),
      routed: buildRouted({ ask, lookup, now }, reach),
    },
    { membersObey, mayGrow: () => isClustered(ground) },
  );
}

function pruneHandlers(needs: { readonly ask: Ask; readonly now: () => number }): EndpointNeeds['prune'] {
  const everywhere = createPrune(needs, { everywhere: 'by-default' });
  return {
    containers: everywhere,
    images: everywhere,
    networks: everywhere,
    build: everywhere,
    volumes: createPrune(needs, { everywhere: 'when-told' }),
  };
}

function buildRouted(
  { ask, lookup, now }: { readonly ask: Ask; readonly lookup: Lookup; readonly now: () => number },
  { engine, peers }: Reach,
): EndpointNeeds['routed'] {
  const findImages = createFindImages({ ask, now });
  return createRouted({
    lookup,
    inspectNetwork: createNetworkInspect({ ask, now }),
    holderOfImages: (call) => findImages(new URLSearchParams(call.target.query).getAll('names'), call),
    createNamesake: createNamesakeCreator({ engine, peer: peers.to }),
    now,
  });
}
