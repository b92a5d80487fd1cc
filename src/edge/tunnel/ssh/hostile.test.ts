// A hostile tunnel server: 1,000 packets from fixed seeds, before and after the keys, and in the middle of a session.
// Whatever comes, the session goes on or ends with one of our errors; it never says its password to the wrong host.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import {
  createSshServer,
  hostKeyBlob,
  readHostKey,
  type SshServer,
} from '../../../../test/support/edge-server/chisel-ssh.ts';
import { createSeededRandom, type SeededRandom } from '../../../../test/support/seeded-random.ts';
import { tunnelVectors } from '../../../../test/support/tunnel-vectors.ts';
import { AgentError } from '../../../errors.ts';
import { fingerprintOf, isFingerprintOf } from '../fingerprint.ts';
import { maxTunnelChannels } from './channels.ts';
import { createSshSession, type SshSession } from './session.ts';

const hostKey = readHostKey(tunnelVectors.chisel.hostKey.privateKeySec1Pem);
const recorded = tunnelVectors.sshTranscript.messages
  .filter(({ dir }) => dir === 'server-to-client')
  .map(({ wsMessageHex }) => Buffer.from(wsMessageHex, 'hex'));
const packets = 1_000;
const target = '10.0.1.5:9001';

interface Ends {
  readonly client: SshSession;
  readonly server: SshServer;
  readonly channels: Duplex[];
  /** What the client sent that the server has no place for. */
  readonly received: Buffer[];
  passwords: number;
}

/** Client and server in one process, their bytes handed to each other at once. */
function connectEnds(fingerprint: string = fingerprintOf(hostKeyBlob(hostKey))): Ends {
  const channels: Duplex[] = [];
  const received: Buffer[] = [];
  const toClient: Buffer[] = [];
  const toServer: Buffer[] = [];
  let isPassing = false;
  const pass = (): void => {
    if (isPassing) return;
    isPassing = true;
    try {
      while (toClient.length > 0 || toServer.length > 0) {
        for (const bytes of toServer.splice(0)) server.receive(bytes);
        for (const bytes of toClient.splice(0)) client.receive(bytes);
      }
    } finally {
      isPassing = false;
    }
  };
  const server = createSshServer({
    hostKey,
    send: (bytes) => {
      toClient.push(bytes);
    },
    checkPassword: () => {
      ends.passwords += 1;
      return true;
    },
    onMessage: (payload) => received.push(payload),
  });
  const client = createClient(
    (packet) => {
      toServer.push(Buffer.concat(packet));
    },
    (blob) => {
      if (!isFingerprintOf(blob, fingerprint)) throw new AgentError('member-untrusted', 'another host');
    },
    channels,
  );
  const ends: Ends = {
    client: {
      ...client,
      start(): void {
        client.start();
        pass();
      },
    },
    server: {
      ...server,
      send(payload): void {
        server.send(payload);
        pass();
      },
    },
    channels,
    received,
    passwords: 0,
  };
  return ends;
}

function createClient(
  send: (packet: readonly Buffer[]) => void,
  checkHostKey: (blob: Buffer) => void,
  channels: Duplex[] = [],
): SshSession {
  return createSshSession(
    {
      send,
      isBlocked: () => false,
      onReady: () => undefined,
      onChannel: (channel) => {
        channels.push(channel.on('error', () => undefined));
      },
      checkHostKey,
      random: randomBytes,
    },
    { ident: 'SSH-chisel-v3-client', user: 'u', password: 'p', channelType: 'chisel', target },
  );
}

/** Ends with one of our own errors, or not at all. */
function assertOurs(run: () => void): void {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof AgentError, `${error instanceof Error ? error.stack : String(error)}`);
    assert.match(error.code, /^(protocol-violation|unavailable|limit-exceeded|member-untrusted)$/);
  }
}

function mutate(bytes: Buffer, random: SeededRandom): Buffer {
  const copy = Buffer.from(bytes);
  switch (random.below(5)) {
    case 0:
      return copy.subarray(0, random.below(copy.length + 1));
    case 1:
      return Buffer.concat([copy, random.bytes(random.below(64))]);
    case 2:
      return random.bytes(1 + random.below(200));
    default: {
      for (let i = 0; i <= random.below(4); i += 1) {
        if (copy.length > 0)
          copy[random.below(copy.length)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
      }
      return copy;
    }
  }
}

/** A message with a number that may mean something and fields that often do. */
function randomMessage(random: SeededRandom): Buffer {
  const number = random.pick([
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    20,
    21,
    31,
    51,
    52,
    53,
    80,
    81,
    82,
    90,
    91,
    92,
    93,
    94,
    95,
    96,
    97,
    98,
    99,
    100,
    random.below(256),
  ]);
  const parts = Array.from({ length: random.below(6) }, () => {
    const word = random.pick(['chisel', target, 'ping', 'config', 'session', '']);
    switch (random.below(4)) {
      case 0:
        return u32(random.pick([0, 1, 2, 0x7fffffff, 0xffffffff, random.below(70_000)]));
      case 1:
        return Buffer.concat([u32(word.length), Buffer.from(word)]);
      case 2:
        return random.bytes(random.below(40));
      default:
        return Buffer.from(word);
    }
  });
  return Buffer.concat([Buffer.from([number]), ...parts]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function openChannel(ends: Ends, number = 0): void {
  const type = Buffer.from('chisel');
  ends.server.send(
    Buffer.concat([
      Buffer.from([90]),
      u32(type.length),
      type,
      u32(number),
      u32(2 ** 21),
      u32(2 ** 15),
      Buffer.from(target),
    ]),
  );
}

describe('ssh client and a hostile server', () => {
  it(`survives ${packets} broken handshakes`, () => {
    for (let seed = 1; seed <= packets; seed += 1) {
      const random = createSeededRandom(seed);
      const client = createClient(
        () => undefined,
        () => undefined,
      );
      client.start();
      const broken = random.below(recorded.length);
      assertOurs(() => {
        for (const [index, bytes] of recorded.entries())
          client.receive(index === broken ? mutate(bytes, random) : bytes);
      });
      client.destroy(new Error('end of the test'));
    }
  });

  it(`survives ${packets} broken messages in a session`, () => {
    for (let seed = 1; seed <= packets / 10; seed += 1) {
      const random = createSeededRandom(seed);
      let ends = connectEnds();
      ends.client.start();
      openChannel(ends);
      for (let i = 0; i < 10; i += 1) {
        let ended = true;
        assertOurs(() => {
          ends.server.send(randomMessage(random));
          ended = false;
        });
        if (!ended) continue;
        ends.client.destroy(new Error('ended'));
        ends = connectEnds();
        ends.client.start();
        openChannel(ends);
      }
      ends.client.destroy(new Error('end of the test'));
    }
  });

  it('ends at a changed bit of a sealed packet', () => {
    const ends = connectEnds();
    ends.client.start();
    assert.equal(ends.passwords, 1);
    assert.throws(() => ends.client.receive(Buffer.alloc(48, 1)), { code: 'protocol-violation' });
  });

  it('tells a host with another key no password', () => {
    const ends = connectEnds(Buffer.alloc(32).toString('base64'));
    assert.throws(() => ends.client.start(), { code: 'member-untrusted' });
    assert.equal(ends.passwords, 0);
  });

  it('believes no host key whose signature is not its own', () => {
    const [ident, init, reply] = recorded;
    assert.ok(ident && init && reply);
    const client = createClient(
      () => undefined,
      () => undefined,
    );
    client.start();
    client.receive(ident);
    client.receive(init);
    // The recorded answer to another client's key: right host key, signature of another exchange.
    assert.throws(() => client.receive(reply), { message: /its signature is not by that key/ });
  });

  it('ends the session of a peer that sends more than it may', () => {
    const ends = connectEnds();
    ends.client.start();
    openChannel(ends);
    const send = (): void => {
      for (let i = 0; i <= 64; i += 1)
        ends.server.send(Buffer.concat([Buffer.from([94]), u32(0), u32(32_768), Buffer.alloc(32_768)]));
    };
    // Nobody reads, so the window is not given back beyond what is read ahead.
    assert.throws(() => [send(), send(), send()], { message: /more than it may/ });
  });

  it(`refuses channels beyond ${maxTunnelChannels}, and takes new ones when what closed ones held was read`, async () => {
    const ends = connectEnds();
    ends.client.start();
    for (let i = 0; i < maxTunnelChannels; i += 1) openChannel(ends, i);
    assert.equal(ends.channels.length, maxTunnelChannels);
    openChannel(ends, 9_999);
    assert.equal(ends.received.at(-1)?.[0], 92);
    ends.server.send(Buffer.concat([Buffer.from([94]), u32(0), u32(4), Buffer.alloc(4)]));
    ends.server.send(Buffer.concat([Buffer.from([97]), u32(0)]));
    openChannel(ends, 10_000);
    assert.equal(ends.received.at(-1)?.[0], 92);
    const [first] = ends.channels;
    assert.ok(first);
    const gone = once(first, 'close');
    first.resume().end();
    await gone;
    openChannel(ends, 10_001);
    assert.equal(ends.channels.length, maxTunnelChannels + 1);
    ends.client.destroy(new Error('end of the test'));
  });

  it('ends the session of a peer that widens a window beyond all bounds', () => {
    const ends = connectEnds();
    ends.client.start();
    openChannel(ends);
    const adjust = Buffer.concat([Buffer.from([93]), u32(0), u32(0xffffffff)]);
    assert.throws(() => ends.server.send(adjust), { message: /a window of more than 4 GiB/ });
  });

  it('asks no more of a server that never answers', async () => {
    const ends = connectEnds();
    ends.client.start();
    const asked = Array.from({ length: 16 }, () => ends.client.request('ping', ''));
    await assert.rejects(ends.client.request('ping', ''), { code: 'limit-exceeded' });
    ends.client.destroy(new Error('over'));
    for (const each of asked) await assert.rejects(each, { message: 'over' });
    await assert.rejects(ends.client.request('config', ''), { message: 'over' });
  });

  it('refuses an identification and a packet that are too long', () => {
    const start = (): SshSession => {
      const client = createClient(
        () => undefined,
        () => undefined,
      );
      client.start();
      return client;
    };
    assert.throws(() => start().receive(Buffer.alloc(300, 'x')), { message: /identification is too long/ });
    assert.throws(() => start().receive(Buffer.from('HTTP/1.1 400 Bad Request\r\n')), {
      message: /it is not SSH/,
    });
    const tooLong = Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), u32(40_004), Buffer.alloc(100)]);
    assert.throws(() => start().receive(tooLong), { message: /a packet of 40004 bytes/ });
  });
});
