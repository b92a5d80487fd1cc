// The real network under the detector, between peers in this process: links, questions, rumors, and rude peers.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { eventually } from '../../test/support/eventually.ts';
import { freePort } from '../../test/support/free-port.ts';
import { AgentError } from '../errors.ts';
import { silentLogger } from '../log.ts';
import { encodeFrame } from './frames.ts';
import { createLibp2pNetwork } from './libp2p-network.ts';
import {
  createLibp2pNode,
  type GossipNode,
  maxHalfOpenPerHost,
  maxIncomingPending,
  toMultiaddrText,
} from './libp2p-node.ts';
import { memberProtocol } from './member-stream.ts';
import type { Answer, Question, Rumor } from './messages.ts';
import { type Endpoint, isRefusal, type MemberNetwork } from './network.ts';
import { maxPeersLeftBehind } from './peer-memory.ts';
import { createIdentity } from './record.ts';

interface Peer {
  readonly peerId: string;
  readonly endpoint: Endpoint;
  readonly network: MemberNetwork;
  node(): GossipNode;
  readonly ups: string[];
  readonly downs: string[];
  readonly rumors: Rumor[];
  answer: (question: Question) => Promise<Answer>;
}

const ping: Question = { kind: 'ping', suspect: undefined };
const ack: Answer = { kind: 'ack', hash: 'same', record: undefined };
/** A machine with much to do takes its time for a handshake and for an answer. */
const patientMs = 8_000;
const anyone = { peerId: undefined, timeoutMs: patientMs, fresh: false };

describe('libp2p network', function () {
  this.timeout(40_000);
  const running: MemberNetwork[] = [];
  const nodes: GossipNode[] = [];
  let port = 0;

  beforeEach(async () => {
    port = await freePort('127.0.0.2');
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((network) => network.stop()));
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
  });

  const start = async (index: number): Promise<Peer> => {
    const identity = createIdentity(randomBytes(32));
    let node: GossipNode | undefined;
    const network = createLibp2pNetwork(
      { seed: identity.seed, secret: undefined },
      silentLogger,
      async (options) => {
        node = await createLibp2pNode(options);
        return node;
      },
    );
    running.push(network);
    const peer: Peer = {
      node: () => {
        assert.ok(node !== undefined);
        return node;
      },
      peerId: identity.peerId,
      endpoint: { address: `127.0.0.${index + 1}`, port },
      network,
      ups: [],
      downs: [],
      rumors: [],
      answer: () => Promise.resolve(ack),
    };
    await network.start(peer.endpoint, {
      onLinkUp: (peerId) => peer.ups.push(peerId),
      onLinkDown: (peerId) => peer.downs.push(peerId),
      onQuestion: (_peerId, question) => peer.answer(question),
      onRumor: (_peerId, rumor) => peer.rumors.push(rumor),
    });
    return peer;
  };

  it('tells both sides of a link, carries questions both ways and rumors to all', async () => {
    const [a, b] = [await start(1), await start(2)];
    assert.equal(await a.network.dial(b.endpoint, anyone), b.peerId);
    await eventually(() => b.ups.includes(a.peerId) && a.ups.includes(b.peerId));
    assert.ok(a.network.isLinked(b.peerId) && a.network.isLinkedTo(b.endpoint));
    assert.deepEqual(await a.network.ask(b.peerId, ping, patientMs), ack);
    assert.deepEqual(await b.network.ask(a.peerId, ping, patientMs), ack);
    const rumor: Rumor = { kind: 'digest', hash: 'h' };
    await eventually(() => {
      void a.network.publish(rumor);
      return b.rumors.length > 0;
    });
    assert.deepEqual(b.rumors[0], rumor);
  });

  it('says refused where nothing listens, and fails where another peer answers', async () => {
    const [a, b] = [await start(1), await start(2)];
    const nobody = { address: '127.0.0.9', port };
    await assert.rejects(a.network.dial(nobody, anyone), (error) => isRefusal(error));
    const other = createIdentity(randomBytes(32)).peerId;
    await assert.rejects(
      a.network.dial(b.endpoint, { ...anyone, peerId: other }),
      (error) => !isRefusal(error),
    );
    await assert.rejects(a.network.dial(a.endpoint, anyone), { code: 'member-unreachable' });
  });

  it('gives up a question after its time, and rejects all of them when the link goes', async () => {
    const [a, b] = [await start(1), await start(2)];
    await a.network.dial(b.endpoint, anyone);
    b.answer = () => new Promise(() => undefined);
    await assert.rejects(a.network.ask(b.peerId, ping, 50), { code: 'timeout' });
    const asked = a.network.ask(b.peerId, ping, 10_000);
    // Settled before the drop only if it failed for another reason.
    const outcome = asked.then(
      () => 'answered',
      () => 'rejected',
    );
    await eventually(() => b.network.isLinked(a.peerId));
    a.network.drop(b.peerId);
    assert.equal(await outcome, 'rejected');
    await eventually(() => a.downs.includes(b.peerId) && b.downs.includes(a.peerId));
    await assert.rejects(a.network.ask(b.peerId, ping, 50), { code: 'member-unreachable' });
  });

  it('bounds the questions in progress', async () => {
    const [a, b] = [await start(1), await start(2)];
    await a.network.dial(b.endpoint, anyone);
    b.answer = () => new Promise(() => undefined);
    const asked = Array.from({ length: 80 }, () => a.network.ask(b.peerId, ping, 300));
    const outcomes = await Promise.allSettled(asked);
    const codes = outcomes.map((outcome) =>
      outcome.status === 'rejected' ? outcome.reason.code : 'answered',
    );
    assert.equal(codes.filter((code) => code === 'limit-exceeded').length, 16);
    assert.equal(codes.filter((code) => code === 'timeout').length, 64);
  });

  it('ends the stream of a peer that sends no frames, and goes on serving others', async () => {
    const [a, b] = [await start(1), await start(2)];
    const rude = await createLibp2pNode({
      seed: randomBytes(32),
      listen: { address: '127.0.0.4', port },
      preSharedKey: undefined,
    });
    nodes.push(rude);
    await rude.start();
    const connection = await rude.dial(multiaddr(toMultiaddrText(b.endpoint)));
    const huge = Buffer.from('ffffffff', 'hex');
    const nonsense = encodeFrame({ id: 1, body: { kind: 'exec' } });
    for (const bytes of [huge, nonsense, Buffer.from('\0\0\0\x01{')]) {
      const stream = await connection.newStream(memberProtocol);
      stream.send(bytes);
      await eventually(() => stream.status !== 'open');
    }
    await a.network.dial(b.endpoint, anyone);
    assert.deepEqual(await a.network.ask(b.peerId, ping, patientMs), ack);
  });

  it('forgets peers that are gone, and those that it never reached, but none that is linked', async () => {
    const [a, b] = [await start(1), await start(2)];
    await b.network.dial(a.endpoint, anyone);
    const kept = async (): Promise<readonly string[]> =>
      (await a.node().peerStore.all()).map(({ id }) => id.toString());
    const gone = await start(3);
    await gone.network.dial(a.endpoint, anyone);
    await eventually(async () => (await kept()).length === 2);
    await gone.network.stop();
    await eventually(() => a.downs.includes(gone.peerId));
    const nobody = { address: '127.0.0.9', port };
    for (let lost = 1; lost < maxPeersLeftBehind; lost++) {
      const { peerId } = createIdentity(randomBytes(32));
      await assert.rejects(a.network.dial(nobody, { ...anyone, peerId }));
    }
    await eventually(async () => assert.deepEqual(await kept(), [b.peerId]));
    assert.ok(a.network.isLinked(b.peerId));
  });

  it('keeps what is no rumor from being passed on', async () => {
    const [a, b] = [await start(1), await start(2)];
    const rude = await createLibp2pNode({
      seed: randomBytes(32),
      listen: { address: '127.0.0.4', port },
      preSharedKey: undefined,
    });
    nodes.push(rude);
    await rude.start();
    const { gossip } = rude.services;
    gossip.subscribe('flotilla/members/1');
    await rude.dial(multiaddr(toMultiaddrText(a.endpoint)));
    await a.network.dial(b.endpoint, anyone);
    await eventually(() => gossip.getSubscribers('flotilla/members/1').length > 0);
    await gossip.publish('flotilla/members/1', Buffer.from('{"kind":"exec"}'));
    await gossip.publish('flotilla/members/1', Buffer.from('{"kind":"digest","hash":"after"}'));
    await eventually(() => a.rumors.length > 0);
    assert.deepEqual(a.rumors, [{ kind: 'digest', hash: 'after' }]);
  });

  it('accepts twenty peers that dial at once from one host', async () => {
    const hub = await start(1);
    const peers = await Promise.all(Array.from({ length: 20 }, (_, index) => start(index + 2)));
    // A busy machine takes longer than a dial may for so many handshakes of one process; a refusal is no timeout.
    const dial = async (network: MemberNetwork, attempts = 5): Promise<string> => {
      try {
        return await network.dial(hub.endpoint, anyone);
      } catch (error) {
        if (attempts > 1 && error instanceof AgentError && error.code === 'timeout')
          return dial(network, attempts - 1);
        throw error;
      }
    };
    const answered = await Promise.all(peers.map(({ network }) => dial(network)));
    assert.ok(answered.every((peerId) => peerId === hub.peerId));
    await eventually(() => hub.network.links().length === 20);
  });

  it('lets a member dial in while other hosts hold all the silent connections that they can', async () => {
    const [a, b] = [await start(1), await start(2)];
    const silent = new Set<Socket>();
    const hold = (localAddress: string): void => {
      const socket = connect({ host: a.endpoint.address, port, localAddress });
      silent.add(socket);
      // Refusals are the point; each is followed by another attempt.
      socket.on('error', () => undefined).on('close', () => silent.delete(socket));
      socket.resume();
    };
    const holdAll = (): void => {
      for (const host of ['127.0.0.20', '127.0.0.21', '127.0.0.22']) {
        const held = [...silent].filter((socket) => socket.localAddress === host).length;
        for (let count = held; count < 100; count++) hold(host);
      }
    };
    holdAll();
    const timer = setInterval(holdAll, 100);
    try {
      await eventually(() => silent.size >= maxHalfOpenPerHost * 3);
      for (let dials = 0; dials < 4; dials++) {
        await eventually(() => b.network.dial(a.endpoint, { ...anyone, timeoutMs: 1_000, fresh: true }), {
          withinMs: 6_000,
        });
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    } finally {
      clearInterval(timer);
      for (const socket of silent) socket.destroy();
    }
    assert.ok(maxHalfOpenPerHost * 4 <= maxIncomingPending);
  });
});
