// The channels of a session: the server opens them, each by a number of ours, and only to what this tunnel is for.
// A hostile server reaches nothing else from here, and no message for a channel that is not there is passed over.

import type { Duplex } from 'node:stream';
import { AgentError } from '../../../errors.ts';
import { Channel, maxChannelDataBytes } from './channel.ts';
import { msg, openFailure } from './numbers.ts';
import type { SendMessage } from './transport.ts';
import { message, string, u32, type WireReader } from './wire.ts';

export interface Channels {
  onMessage(number: number, reader: WireReader): void;
  resume(): void;
  destroy(): void;
}

export interface ChannelsNeeds {
  readonly send: SendMessage;
  readonly isBlocked: () => boolean;
  /** Takes what the server opened. `closed` resolves when the server closes it, which the end of its data need not mean. */
  readonly onChannel: (channel: Duplex, closed: Promise<void>) => void;
}

export interface ChannelsOptions {
  /** Channels are opened for this, and nothing else. */
  readonly channelType: string;
  readonly target: string;
  /** So much is read of a channel before its window is given back. */
  readonly returnAtBytes?: number;
}

/** Open ones at once; each is one connection at the server's end. */
export const maxTunnelChannels = 512;
/** The window of a channel, as the original's. */
export const maxWindowBytes: number = 2 * 1024 * 1024;
/** So many at once have it. Those beyond have a small one, so that all windows together are bounded: 94 MiB. */
export const maxWideChannels = 16;
/** Four packets. */
const narrowWindowBytes = 128 * 1024;
const defaultReturnAtBytes = 256 * 1024;

export function createChannels(needs: ChannelsNeeds, options: ChannelsOptions): Channels {
  const { returnAtBytes = defaultReturnAtBytes } = options;
  const open = new Map<number, Channel>();
  let wasBlocked = false;
  /** When the connection is gone, what channels still want to say is dropped. */
  let isAlive = true;

  const isBlocked = (): boolean => {
    wasBlocked = needs.isBlocked();
    return wasBlocked;
  };

  const send: SendMessage = (head, data) => {
    if (isAlive) needs.send(head, data);
  };

  const onOpen = (reader: WireReader): void => {
    const type = reader.text();
    const [peerNumber, peerWindow, peerMaxPacket] = [reader.u32(), reader.u32(), reader.u32()];
    const target = reader.rest().toString('latin1');
    const isOurs = type === options.channelType && target === options.target;
    if (!isOurs || open.size >= maxTunnelChannels) {
      const reason = isOurs ? openFailure.resourceShortage : openFailure.prohibited;
      const text = isOurs ? 'too many channels' : 'not what this tunnel is for';
      send(message(msg.channelOpenFailure, u32(peerNumber), u32(reason), string(text), string('')));
      return;
    }
    if (peerMaxPacket === 0)
      throw new AgentError('protocol-violation', 'tunnel server opened a channel that takes no data');
    let number = 0;
    while (open.has(number)) number += 1;
    const windowBytes = windowBytesBeside(open.size);
    const channel = new Channel(
      { send, isBlocked, onClosed: () => open.delete(number) },
      {
        peerNumber,
        peerWindow,
        peerMaxPacket,
        windowBytes,
        returnAtBytes: Math.min(returnAtBytes, windowBytes / 4),
      },
    );
    open.set(number, channel);
    const sizes = [u32(windowBytes), u32(maxChannelDataBytes)];
    send(message(msg.channelOpenConfirmation, u32(peerNumber), u32(number), ...sizes));
    needs.onChannel(channel.stream, channel.closed);
  };

  return {
    onMessage(number, reader): void {
      if (number === msg.channelOpen) {
        onOpen(reader);
        return;
      }
      const channel = open.get(reader.u32());
      if (channel === undefined)
        throw new AgentError(
          'protocol-violation',
          `tunnel server sent message ${number} for an unknown channel`,
        );
      dispatch(channel, number, reader);
    },
    resume(): void {
      if (!wasBlocked || needs.isBlocked()) return;
      wasBlocked = false;
      // Whoever had a turn stands behind the others: else the first ones would fill the connection each time.
      for (const [number, channel] of [...open]) {
        if (wasBlocked) return;
        channel.resume();
        if (open.delete(number)) open.set(number, channel);
      }
    },
    destroy(): void {
      isAlive = false;
      const reason = new AgentError('unavailable', 'tunnel lost');
      for (const channel of [...open.values()]) channel.stream.destroy(reason);
      open.clear();
    },
  };
}

function windowBytesBeside(channels: number): number {
  return channels < maxWideChannels ? maxWindowBytes : narrowWindowBytes;
}

function dispatch(channel: Channel, number: number, reader: WireReader): void {
  switch (number) {
    case msg.channelWindowAdjust:
      channel.onWindowAdjust(reader.u32());
      return;
    case msg.channelData:
      channel.onData(reader.string());
      return;
    case msg.channelExtendedData:
      reader.skip(4);
      channel.onExtendedData(reader.string().length);
      return;
    case msg.channelEof:
      channel.onEof();
      return;
    case msg.channelClose:
      channel.onClose();
      return;
    case msg.channelRequest:
      reader.string();
      channel.onRequest(reader.u8() !== 0);
      return;
    case msg.channelSuccess:
    case msg.channelFailure:
      return;
    default:
      // Also an answer to a channel that we opened: we open none.
      throw new AgentError('protocol-violation', `tunnel server sent message ${number} for a channel`);
  }
}
