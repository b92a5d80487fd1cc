// Builds the cluster's membership, and what its members share: which Portainer they belong to.

import { postToPeer } from '../api/peer-client.ts';
import { createSpread, type Spread, type SpreadPeer } from '../auth/association-spread.ts';
import { systemClock } from '../cluster/clock.ts';
import { type Cluster, createCluster, type Member } from '../cluster/cluster.ts';
import type { PeerDialer } from '../proxy/peer-dialer.ts';
import { agentVersion } from '../version.ts';
import { peerPaths } from '../wire.ts';
import type { Ground } from './ground.ts';

/** `onAdvertise` opens the peer listener before our record says where it is. */
export function buildCluster(ground: Ground, apiPort: () => number, onAdvertise: OnAdvertise): Cluster {
  const { config, docker, identity, edgeKeys, log } = ground;
  return createCluster(
    {
      facts: docker.facts,
      onFactsChange: docker.onChange,
      ownContainer: docker.ownContainer,
      taskAddresses: docker.taskAddresses,
      tlsFingerprint: identity.peer.fingerprint,
      identitySeed: identity.seed,
      edgeKeySet: () => edgeKeys?.current() !== undefined,
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
export function buildSpread(
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
