// Builds the libp2p node that the gossip runs on: TCP, Noise, yamux, identify, gossipsub, and a pre-shared key if any.
// Every limit is set on purpose; what the defaults would do is said where that matters.

import { setImmediate as turn } from 'node:timers/promises';
import type { GossipSub, GossipSubComponents, Message } from '@libp2p/gossipsub';
import type { ConnectionGater, Libp2p, MultiaddrConnection } from '@libp2p/interface';
import { maxRumorBytes, parseRumor } from './messages.ts';
import type { Endpoint } from './network.ts';

export interface Libp2pNodeOptions {
  /** The Ed25519 seed of the identity. */
  readonly seed: Uint8Array;
  /** Undefined: dials only. */
  readonly listen: Endpoint | undefined;
  readonly preSharedKey: Uint8Array | undefined;
}

export type GossipNode = Libp2p<{ gossip: GossipSub }>;

export const gossipTopic = 'flotilla/members/1';

/** More than `fullMeshMembers` and its fingers need; the rest is room for strangers that have not been cut off yet. */
const maxConnections = 256;
/** All members of a cluster may start at once, and in a lab they share one host; the default is 5. */
const maxInboundPerHostAndSecond = 64;
/** Connections of one host whose handshake is not done; more are refused, so that a silent host leaves room for others. */
export const maxHalfOpenPerHost = 64;
/** Half-open connections of all hosts: to keep every member out takes several hosts, not one. The default is 10. */
export const maxIncomingPending = 512;
/** Whoever dials brings a shorter limit, whose end is told from a refusal. */
const longestDialMs = 10_000;
/** Dead members are dialled each second; those that hang must not hold up the others. */
const maxParallelDials = 64;
/** A black-holed peer must not hold up gossipsub's queue of new streams for the default 10 s. */
const negotiationTimeoutMs = 1_500;

/** Loading it all takes long for a process that serves: what has come in is answered between one part and the next. */
async function loaded<T>(part: Promise<T>): Promise<T> {
  const module = await part;
  await turn();
  return module;
}

/** Loaded here and not at the top: an agent without a cluster never pays the memory for libp2p. */
export async function createLibp2pNode(options: Libp2pNodeOptions): Promise<GossipNode> {
  const { generateKeyPairFromSeed } = await loaded(import('@libp2p/crypto/keys'));
  const { noise } = await loaded(import('@libp2p/noise'));
  const { tcp } = await loaded(import('@libp2p/tcp'));
  const { yamux } = await loaded(import('@libp2p/yamux'));
  const { identify } = await loaded(import('@libp2p/identify'));
  const { createLibp2p } = await loaded(import('libp2p'));
  const gossip = await createGossip();
  const protector = await createProtector(options.preSharedKey);
  return createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', options.seed),
    nodeInfo: { name: 'flotilla', version: '1', userAgent: 'flotilla' },
    addresses: { listen: options.listen === undefined ? [] : [toMultiaddrText(options.listen)] },
    transports: [tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: 32, maxOutboundStreams: 32 })],
    ...(protector === undefined ? {} : { connectionProtector: protector }),
    connectionGater: createHalfOpenGate(),
    connectionManager: {
      maxConnections,
      maxParallelDials,
      maxIncomingPendingConnections: maxIncomingPending,
      inboundConnectionThreshold: maxInboundPerHostAndSecond,
      dialTimeout: longestDialMs,
      addressDialTimeout: longestDialMs,
      inboundUpgradeTimeout: 3_000,
      outboundStreamProtocolNegotiationTimeout: negotiationTimeoutMs,
      inboundStreamProtocolNegotiationTimeout: negotiationTimeoutMs,
      // Redialling is the detector's business.
      reconnectRetries: 0,
    },
    // Its pings and time-outs would be a second failure detector beside ours.
    connectionMonitor: { enabled: false },
    services: {
      // gossipsub learns from identify who speaks it; identify push is not loaded.
      identify: identify({ timeout: 2_000 }),
      gossip,
    },
    start: false,
  });
}

export function toMultiaddrText(endpoint: Endpoint): string {
  const family = endpoint.address.includes(':') ? 'ip6' : 'ip4';
  return `/${family}/${endpoint.address}/tcp/${endpoint.port}`;
}

/** Counts the handshakes in progress by host. One that hangs counts until libp2p's upgrade timeout closes it. */
function createHalfOpenGate(): ConnectionGater {
  const hosts = new Map<string, Set<MultiaddrConnection>>();
  const settle = (connection: MultiaddrConnection): void => {
    const host = hostOf(connection);
    const halfOpen = hosts.get(host);
    halfOpen?.delete(connection);
    if (halfOpen?.size === 0) hosts.delete(host);
  };
  return {
    denyInboundConnection: (connection) => {
      const host = hostOf(connection);
      const halfOpen = hosts.get(host) ?? new Set();
      if (halfOpen.size >= maxHalfOpenPerHost) return true;
      hosts.set(host, halfOpen.add(connection));
      connection.addEventListener('close', () => settle(connection), { once: true });
      return false;
    },
    denyInboundUpgradedConnection: (_peer, connection) => {
      settle(connection);
      return false;
    },
  };
}

function hostOf(connection: MultiaddrConnection): string {
  return connection.remoteAddr.toString().split('/tcp/')[0] ?? '';
}

async function createGossip(): Promise<(components: GossipSubComponents) => GossipSub> {
  const { gossipsub, TopicValidatorResult } = await loaded(import('@libp2p/gossipsub'));
  const isRumor = (message: Message): boolean => {
    try {
      parseRumor(message.data);
      return true;
    } catch {
      return false;
    }
  };
  const create = gossipsub({
    globalSignaturePolicy: 'StrictSign',
    emitSelf: false,
    fallbackToFloodsub: false,
    doPX: false,
    tagMeshPeers: false,
    // The publisher sends to every neighbour itself: a change reaches a full mesh in one hop, whatever the mesh holds.
    floodPublish: true,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    // A small mesh: rumors are rare and repaired by comparing hashes.
    D: 4,
    Dlo: 2,
    Dhi: 8,
    Dout: 1,
    Dscore: 1,
    Dlazy: 3,
    seenTTL: 30_000,
    // A pruned or restarted member is grafted again in seconds; the defaults wait a minute and ten seconds.
    pruneBackoff: 5_000,
    unsubcribeBackoff: 2_000,
    graftFloodThreshold: 1_000,
    // Members may share an address (a lab, a NAT): the default score penalises more than ten.
    scoreParams: { IPColocationFactorWeight: 0 },
    allowedTopics: [gossipTopic],
    maxInboundDataLength: maxRumorBytes * 2,
    maxOutboundBufferSize: 1_048_576,
    maxTopicBytesPerPeer: 4_096,
  });
  return (components) => {
    const gossip = create(components);
    // What is no rumor is not passed on, and counts against the score of the peer that sent it.
    gossip.topicValidators.set(gossipTopic, (_peer, message) =>
      isRumor(message) ? TopicValidatorResult.Accept : TopicValidatorResult.Reject,
    );
    return gossip;
  };
}

async function createProtector(
  preSharedKey: Uint8Array | undefined,
): Promise<ReturnType<typeof import('@libp2p/pnet').preSharedKey> | undefined> {
  if (preSharedKey === undefined) return undefined;
  const pnet = await import('@libp2p/pnet');
  return pnet.preSharedKey({ psk: preSharedKey });
}
