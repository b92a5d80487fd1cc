// One channel as a stream: data in packets of the size that the peer takes, windows in both directions.
// The end of writing closes the channel, since chisel up to 1.11 has no half-close; after our CLOSE nothing more is sent for it.

import { Duplex } from 'node:stream';
import { AgentError } from '../../../errors.ts';
import { createBacklog } from './backlog.ts';
import { msg } from './numbers.ts';
import type { SendMessage } from './transport.ts';
import { message, u32 } from './wire.ts';

export interface ChannelNeeds {
  readonly send: SendMessage;
  /** The connection takes no more at the moment; `resume` is called when it does. */
  readonly isBlocked: () => boolean;
  /** Both sides have closed, and nothing of it is held any more: the number is free. */
  readonly onClosed: () => void;
}

export interface ChannelOptions {
  readonly peerNumber: number;
  readonly peerWindow: number;
  readonly peerMaxPacket: number;
  /** What the peer may send before we have read it; told to it, so it is also what the channel may hold. */
  readonly windowBytes: number;
  /** So much is read before the peer is told that there is room again. */
  readonly returnAtBytes: number;
}

/** Of data in one packet, both ways. */
export const maxChannelDataBytes: number = 32 * 1024;
/** RFC 4254 §5.2. */
const maxPeerWindow = 2 ** 32 - 1;

/** The methods named `on…` are what the peer sent; they throw when the peer may not. */
export class Channel {
  readonly stream: Duplex;
  /** The peer has closed it. Never rejects; a lost connection is told by the stream's end alone. */
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #needs: ChannelNeeds;
  readonly #options: ChannelOptions;
  readonly #packetBytes: number;
  /** What we may send. */
  #peerWindow: number;
  /** What the peer may send. */
  #window: number;
  /** Handed to the stream, and not given back to the peer yet. */
  #taken = 0;
  /** Comes after what the stream holds, which is one piece or two. */
  readonly #backlog = createBacklog();
  #writing: { bytes: Buffer; readonly done: () => void } | undefined;
  #sentClose = false;
  #gotClose = false;
  #isGone = false;
  #gotEof = false;

  constructor(needs: ChannelNeeds, options: ChannelOptions) {
    this.closed = this.#closed.promise;
    this.#needs = needs;
    this.#options = options;
    this.#packetBytes = Math.min(options.peerMaxPacket, maxChannelDataBytes);
    this.#peerWindow = options.peerWindow;
    this.#window = options.windowBytes;
    this.stream = new Duplex({
      // So that more is asked for only when all of it is read.
      readableHighWaterMark: 1,
      writableHighWaterMark: maxChannelDataBytes,
      read: () => {
        this.#returnWindow();
        this.#handOver();
      },
      write: (bytes: Buffer, _encoding, done) => {
        this.#writing = { bytes, done };
        if (this.#sentClose) this.#forgetWrite();
        else this.resume();
      },
      final: (done) => {
        this.#close();
        done();
      },
      destroy: (error, done) => {
        this.#forgetWrite();
        this.#close();
        done(error);
      },
    });
    // Of the loss of the link its closing tells too; whoever carries it may not be there yet to hear of it.
    this.stream.on('error', () => undefined);
    this.stream.once('close', () => {
      this.#isGone = true;
      this.#release();
    });
  }

  onData(bytes: Buffer): void {
    this.#accountFor(bytes.length);
    // Still under way when we closed: accepted, and nobody's.
    if (this.#sentClose || this.stream.destroyed || bytes.length === 0) return;
    if (this.stream.readableLength > 0) {
      this.#backlog.add(bytes);
      return;
    }
    this.#handOver();
    this.#push(bytes);
  }

  /** For errors of programs; a tunnel has none. */
  onExtendedData(bytes: number): void {
    this.#accountFor(bytes);
  }

  onWindowAdjust(bytes: number): void {
    this.#peerWindow += bytes;
    if (this.#peerWindow > maxPeerWindow) throw violation('a window of more than 4 GiB');
    this.resume();
  }

  onEof(): void {
    if (!this.#gotEof && !this.stream.destroyed) {
      this.#handOver();
      this.stream.push(null);
    }
    this.#gotEof = true;
  }

  onClose(): void {
    if (this.#gotClose) throw violation('a second close');
    this.#gotClose = true;
    this.#closed.resolve();
    this.onEof();
    this.#close();
    this.#forgetWrite();
    this.#release();
  }

  onRequest(wantsReply: boolean): void {
    if (wantsReply && !this.#sentClose) this.#send(msg.channelFailure);
  }

  /** Writes what the peer's window and the connection take. */
  resume(): void {
    while (
      this.#writing !== undefined &&
      this.#peerWindow > 0 &&
      !this.#sentClose &&
      !this.#needs.isBlocked()
    ) {
      const writing = this.#writing;
      const size = Math.min(writing.bytes.length, this.#peerWindow, this.#packetBytes);
      const head = message(msg.channelData, u32(this.#options.peerNumber), u32(size));
      this.#needs.send(head, writing.bytes.subarray(0, size));
      this.#peerWindow -= size;
      writing.bytes = writing.bytes.subarray(size);
      if (writing.bytes.length === 0) this.#forgetWrite();
    }
  }

  #send(number: number, ...parts: readonly Buffer[]): void {
    this.#needs.send(message(number, u32(this.#options.peerNumber), ...parts));
  }

  #close(): void {
    if (this.#sentClose) return;
    this.#sentClose = true;
    this.#send(msg.channelClose);
  }

  /** A channel that both sides have closed counts until what it holds was read: else a server could have any number. */
  #release(): void {
    if (this.#sentClose && this.#gotClose && this.#isGone) this.#needs.onClosed();
  }

  #handOver(): void {
    if (this.#backlog.bytes() > 0) this.#push(this.#backlog.take());
  }

  #push(bytes: Buffer): void {
    this.#taken += bytes.length;
    this.stream.push(bytes);
  }

  #returnWindow(): void {
    if (this.#taken < this.#options.returnAtBytes || this.#sentClose || this.#gotEof) return;
    this.#window += this.#taken;
    this.#send(msg.channelWindowAdjust, u32(this.#taken));
    this.#taken = 0;
  }

  #accountFor(bytes: number): void {
    if (this.#gotEof) throw violation('data after its end');
    if (bytes > this.#window || bytes > maxChannelDataBytes)
      throw violation(`${bytes} bytes of data, more than it may`);
    this.#window -= bytes;
  }

  /** Written, or for nobody any more. That is no error: what came from the peer may still be on its way to our side. */
  #forgetWrite(): void {
    const writing = this.#writing;
    this.#writing = undefined;
    writing?.done();
  }
}

function violation(found: string): AgentError {
  return new AgentError('protocol-violation', `tunnel server sent on a channel: ${found}`);
}
