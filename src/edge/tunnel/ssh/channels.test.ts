// What a server may make the channels of a session hold: windows as told, and little beside the bytes themselves.

import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { eventually } from '../../../../test/support/eventually.ts';
import {
  type Channels,
  createChannels,
  maxTunnelChannels,
  maxWideChannels,
  maxWindowBytes,
} from './channels.ts';
import { msg } from './numbers.ts';
import { createWireReader, message, string, u32 } from './wire.ts';

const target = '10.0.1.5:9001';
const packetBytes = 32_768;

interface Server {
  open(number: number): void;
  data(number: number, bytes: Buffer): void;
  /** What was sent to it since the last call. */
  heard(): readonly Buffer[];
  readonly streams: readonly Duplex[];
  readonly channels: Channels;
}

function startServer(): Server {
  const sent: Buffer[] = [];
  const streams: Duplex[] = [];
  const channels = createChannels(
    {
      send: (head, data = Buffer.alloc(0)) => void sent.push(Buffer.concat([head, data])),
      isBlocked: () => false,
      onChannel: (stream) => void streams.push(stream),
    },
    { channelType: 'chisel', target },
  );
  const say = (payload: Buffer): void => {
    const reader = createWireReader(payload);
    channels.onMessage(reader.u8(), reader);
  };
  return {
    open: (number) => {
      const sizes = [u32(number), u32(maxWindowBytes), u32(packetBytes)];
      say(message(msg.channelOpen, string('chisel'), ...sizes, Buffer.from(target)));
    },
    data: (number, bytes) => say(message(msg.channelData, u32(number), string(bytes))),
    heard: () => sent.splice(0),
    streams,
    channels,
  };
}

/** Of what the test waits for nothing else happens. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function windowsOf(messages: readonly Buffer[]): readonly number[] {
  return messages
    .filter(([kind]) => kind === msg.channelOpenConfirmation)
    .map((each) => each.readUInt32BE(9));
}

function givenBack(messages: readonly Buffer[]): number {
  return messages
    .filter(([kind]) => kind === msg.channelWindowAdjust)
    .reduce((sum, each) => sum + each.readUInt32BE(5), 0);
}

describe('channels of a tunnel', () => {
  it('hold what nobody reads in a few pieces, however small they came', async () => {
    const server = startServer();
    server.open(0);
    const bytes = 200_000;
    for (let i = 0; i < bytes; i += 1) {
      server.data(0, Buffer.from([i]));
      // Some in one turn and some in turns of their own, as from a network.
      if (i % 1_000 < 10) await turn();
    }
    const [stream] = server.streams;
    assert.ok(stream !== undefined);
    const pieces: Buffer[] = [];
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    await eventually(() => Buffer.concat(pieces).length === bytes);
    assert.ok(pieces.length <= 3, `${pieces.length} pieces`);
    assert.ok(Buffer.concat(pieces).every((byte, i) => byte === i % 256));
  });

  for (const [width, number] of [
    ['wide', 0],
    ['narrow', maxWideChannels],
  ] as const) {
    it(`give back the ${width} window of what was read, so that data of any length comes through`, async () => {
      const server = startServer();
      for (let i = 0; i <= number; i += 1) server.open(i);
      const window = windowsOf(server.heard())[number] ?? 0;
      let read = 0;
      server.streams[number]?.on('data', (piece: Buffer) => {
        read += piece.length;
      });
      let left = window;
      for (let sent = 0; sent < 3 * window; sent += packetBytes) {
        if (left < packetBytes) {
          await turn();
          left += givenBack(server.heard());
        }
        server.data(number, Buffer.alloc(packetBytes));
        left -= packetBytes;
      }
      await eventually(() => read === 3 * window);
    });
  }

  it('hold less than 100 MiB together, and the first ones 2 MiB each', () => {
    const server = startServer();
    for (let i = 0; i < maxTunnelChannels; i += 1) server.open(i);
    const windows = windowsOf(server.heard());
    assert.equal(windows.length, maxTunnelChannels);
    assert.deepEqual(new Set(windows.slice(0, maxWideChannels)), new Set([2_097_152]));
    const all = windows.reduce((sum, window) => sum + window, 0);
    assert.ok(all <= 100 * 1024 * 1024, `${all} bytes`);
    const last = maxTunnelChannels - 1;
    const fill = (packets: number): void => {
      for (let i = 0; i < packets; i += 1) server.data(last, Buffer.alloc(packetBytes));
    };
    fill((windows[last] ?? 0) / packetBytes);
    // What was told is what holds.
    assert.throws(() => server.data(last, Buffer.alloc(1)), { message: /more than it may/ });
  });

  it('lets every channel have its turn when the connection takes more', async () => {
    let heldBytes = 0;
    const got = new Map<number, number>();
    const streams: Duplex[] = [];
    const channels = createChannels(
      {
        send(head, data = Buffer.alloc(0)): void {
          heldBytes += data.length;
          if (head[0] === msg.channelData)
            got.set(head.readUInt32BE(1), (got.get(head.readUInt32BE(1)) ?? 0) + 1);
        },
        isBlocked: () => heldBytes >= 4 * packetBytes,
        onChannel: (stream) => void streams.push(stream),
      },
      { channelType: 'chisel', target },
    );
    const many = 40;
    for (let number = 0; number < many; number += 1) {
      const open = [string('chisel'), u32(number), u32(2 ** 31), u32(packetBytes), Buffer.from(target)];
      channels.onMessage(msg.channelOpen, createWireReader(Buffer.concat(open)));
    }
    const refill = (stream: Duplex): void => {
      while (stream.write(Buffer.alloc(packetBytes)));
    };
    for (const stream of streams) {
      refill(stream);
      stream.on('drain', () => refill(stream));
    }
    for (let round = 0; round < 2 * many; round += 1) {
      heldBytes = 0;
      channels.resume();
      await turn();
    }
    const counts = Array.from({ length: many }, (_, number) => got.get(number) ?? 0);
    assert.ok(Math.max(...counts) <= 2 * Math.min(...counts), `packets of each: ${counts.join(' ')}`);
    channels.destroy();
  });
});
