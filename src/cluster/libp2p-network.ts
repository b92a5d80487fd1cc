// The real network under the detector: libp2p connections as links, one member stream per connection, gossipsub.
// No policy: whom to dial, ask or drop is decided above. After stop() no socket, timer or listener is left.

import type { Connection, PeerId, Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { AgentError, reasonOf, toAgentError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { createLibp2pNode, type GossipNode, gossipTopic, toMultiaddrText } from './libp2p-node.ts';
import { type Asker, answerQuestions, createAsker, memberProtocol } from './member-stream.ts';
import { type Answer, parseRumor, type Question, type Rumor } from './messages.ts';
import type { DialOptions, Endpoint, MemberNetwork, NetworkHandlers } from './network.ts';
import { createPeerSweep } from './peer-memory.ts';
import { derivePreSharedKey } from './pre-shared-key.ts';

export interface Libp2pNetworkOptions {
  readonly seed: Uint8Array;
  readonly secret: string | undefined;
}

/**
 * A peer that dials us while we hold a connection to it has lost that one. Younger ones are kept: when two members dial
 * each other in the same moment, each would drop the other's.
 */
const staleConnectionMs = 2_000;
const openStreamTimeoutMs = 1_500;

interface Link {
  readonly connection: Connection;
  readonly sinceMs: number;
  asker: Promise<Asker> | undefined;
}

export function createLibp2pNetwork(
  options: Libp2pNetworkOptions,
  log: Logger,
  createNode: CreateNode = createLibp2pNode,
): MemberNetwork {
  return new Libp2pNetwork(options, log, createNode);
}

type CreateNode = typeof createLibp2pNode;

class Libp2pNetwork implements MemberNetwork {
  readonly #createNode: CreateNode;
  readonly #options: Libp2pNetworkOptions;
  readonly #log: Logger;
  /** Open connections by peer, oldest first. Bounded by libp2p's connection limit. */
  readonly #links = new Map<string, Link[]>();
  #node: GossipNode | undefined;
  #onPeerLost: (() => void) | undefined;
  #handlers: NetworkHandlers | undefined;
  #parseAddress: ((text: string) => Multiaddr) | undefined;

  constructor(options: Libp2pNetworkOptions, log: Logger, createNode: CreateNode) {
    this.#createNode = createNode;
    this.#options = options;
    this.#log = log;
  }

  async start(listen: Endpoint | undefined, handlers: NetworkHandlers): Promise<void> {
    const { secret, seed } = this.#options;
    const preSharedKey = secret === undefined ? undefined : await derivePreSharedKey(secret);
    const node = await this.#createNode({ seed, listen, preSharedKey });
    const { multiaddr } = await import('@multiformats/multiaddr');
    this.#parseAddress = multiaddr;
    this.#handlers = handlers;
    this.#onPeerLost = createPeerSweep(node.peerStore, (peerId) => this.isLinked(peerId), this.#log);
    node.addEventListener('connection:open', (event) => this.#onOpen(event.detail));
    node.addEventListener('connection:close', (event) => this.#onClose(event.detail));
    await node.handle(memberProtocol, (stream, connection) => this.#onStream(stream, connection.remotePeer), {
      maxInboundStreams: 2,
      maxOutboundStreams: 2,
    });
    this.#listenToGossip(node);
    try {
      await node.start();
    } catch (error) {
      await node.stop();
      throw toAgentError(error, 'unavailable', `listen on ${listen?.address}:${listen?.port}`);
    }
    node.services.gossip.subscribe(gossipTopic);
    this.#node = node;
  }

  async stop(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    this.#handlers = undefined;
    this.#onPeerLost = undefined;
    if (node === undefined) return;
    await node.stop();
    for (const peerId of [...this.#links.keys()]) this.drop(peerId);
    this.#links.clear();
  }

  async dial(endpoint: Endpoint, options: DialOptions): Promise<string> {
    const node = this.#running();
    const controller = new AbortController();
    const late = new AgentError('timeout', `dial ${endpoint.address}:${endpoint.port}: timeout`);
    const timer = setTimeout(() => controller.abort(late), options.timeoutMs);
    try {
      const suffix = options.peerId === undefined ? '' : `/p2p/${options.peerId}`;
      const address = this.#address(`${toMultiaddrText(endpoint)}${suffix}`);
      const connection = await node.dial(address, { signal: controller.signal, force: options.fresh });
      return connection.remotePeer.toString();
    } catch (error) {
      this.#onPeerLost?.();
      throw toAgentError(error, 'member-unreachable', `dial ${endpoint.address}:${endpoint.port}`);
    } finally {
      clearTimeout(timer);
    }
  }

  isLinked(peerId: string): boolean {
    return this.#links.has(peerId);
  }

  isLinkedTo(endpoint: Endpoint): boolean {
    const host = `${toMultiaddrText(endpoint).split('/tcp/')[0]}/`;
    // The port of an incoming connection is not the port its owner listens on, so the address alone must do.
    for (const links of this.#links.values()) {
      if (links.some((link) => link.connection.remoteAddr.toString().startsWith(host))) return true;
    }
    return false;
  }

  links(): readonly string[] {
    return [...this.#links.keys()];
  }

  async ask(peerId: string, question: Question, timeoutMs: number): Promise<Answer> {
    const link = this.#links.get(peerId)?.at(-1);
    if (link === undefined) throw new AgentError('member-unreachable', `ask ${peerId}: no link`);
    let asker = await this.#askerOf(link);
    if (!asker.isOpen()) {
      link.asker = undefined;
      asker = await this.#askerOf(link);
    }
    return asker.ask(question, timeoutMs);
  }

  async publish(rumor: Rumor): Promise<readonly string[]> {
    const node = this.#node;
    if (node === undefined) return [];
    try {
      const sent = await node.services.gossip.publish(gossipTopic, Buffer.from(JSON.stringify(rumor)));
      return sent.recipients.map(String);
    } catch (error) {
      // Best effort by design: lost rumors are repaired by comparing hashes.
      this.#log.debug('rumor not published', { reason: reasonOf(error) });
      return [];
    }
  }

  drop(peerId: string): void {
    const links = this.#links.get(peerId) ?? [];
    for (const link of [...links]) link.connection.abort(new AgentError('member-unreachable', 'dropped'));
  }

  #running(): GossipNode {
    if (this.#node === undefined) throw new AgentError('unavailable', 'gossip is not running');
    return this.#node;
  }

  #address(text: string): Multiaddr {
    if (this.#parseAddress === undefined) throw new AgentError('unavailable', 'gossip is not running');
    return this.#parseAddress(text);
  }

  #askerOf(link: Link): Promise<Asker> {
    if (link.asker !== undefined) return link.asker;
    const opening = openAsker(link.connection);
    link.asker = opening;
    opening.catch(() => {
      if (link.asker === opening) link.asker = undefined;
    });
    return opening;
  }

  #onOpen(connection: Connection): void {
    const peerId = connection.remotePeer.toString();
    const nowMs = performance.now();
    const known = this.#links.get(peerId) ?? [];
    const stale = known.filter((link) => nowMs - link.sinceMs > staleConnectionMs);
    this.#links.set(peerId, [...known, { connection, sinceMs: nowMs, asker: undefined }]);
    for (const link of stale) link.connection.abort(new AgentError('member-unreachable', 'replaced'));
    this.#handlers?.onLinkUp(peerId, connection.direction);
  }

  #onClose(connection: Connection): void {
    const peerId = connection.remotePeer.toString();
    const known = this.#links.get(peerId);
    if (known === undefined) return;
    const left = known.filter((link) => link.connection.id !== connection.id);
    if (left.length > 0) {
      this.#links.set(peerId, left);
      return;
    }
    this.#links.delete(peerId);
    this.#onPeerLost?.();
    this.#handlers?.onLinkDown(peerId);
  }

  #onStream(stream: Stream, from: PeerId): void {
    const peerId = from.toString();
    answerQuestions(stream, async (question) => {
      if (this.#handlers === undefined) throw new AgentError('unavailable', 'gossip is stopping');
      return this.#handlers.onQuestion(peerId, question);
    });
  }

  #listenToGossip(node: GossipNode): void {
    const { gossip } = node.services;
    gossip.addEventListener('message', (event) => {
      const message = event.detail;
      if (message.topic !== gossipTopic || message.type !== 'signed') return;
      this.#handlers?.onRumor(message.from.toString(), parseRumor(message.data));
    });
  }
}

async function openAsker(connection: Connection): Promise<Asker> {
  const signal = AbortSignal.timeout(openStreamTimeoutMs);
  return createAsker(await connection.newStream(memberProtocol, { signal }));
}
