// What both transports give the tunnel: one connection to the server, on which it opens channels to us.

import type { Duplex } from 'node:stream';
import type { TunnelAddress } from './address.ts';
import type { TunnelCredentials } from './credentials.ts';

/** What a connection is to be. */
export interface LinkOrder {
  readonly address: TunnelAddress;
  readonly fingerprint: string;
  readonly credentials: TunnelCredentials;
  /** To be opened on the server. */
  readonly port: number;
  /** `host:port` of our own API, by which the server names it. */
  readonly target: string;
}

export interface LinkNeeds {
  /** A connection to the server, through the proxy where there is one. */
  readonly dial: (address: TunnelAddress, signal: AbortSignal) => Promise<Duplex>;
  readonly onChannel: (channel: LinkChannel) => void;
}

/** How a stream is written to that shares its connection with others. */
export interface Outlet {
  /** As `stream.write`, in as few packets of the network as the transport can. */
  readonly write: (chunk: Buffer) => boolean;
  /** Writing is to stop: the connection holds enough. */
  readonly isBlocked: () => boolean;
  /** Calls back whenever it may go on. Returns the call that ends it. */
  readonly onFree: (callback: () => void) => () => void;
}

/** One connection that somebody made at the server's end. */
export interface LinkChannel extends Outlet {
  readonly stream: Duplex;
  /**
   * Undefined: each direction ends by itself. Else our end closes both, and the peer's end its own alone: this resolves when
   * the peer has closed both, and what it sent before is still to be read.
   */
  readonly closedByPeer: Promise<void> | undefined;
  /** Both directions. What was written before may still leave. */
  close(): void;
}

export interface Link {
  /** The reason. Never rejects; by then no socket of it is left. */
  readonly ended: Promise<string>;
  /** Bytes from the server so far; growing means that it lives. */
  heardBytes(): number;
  /** Asks for a sign of life. */
  ping(): void;
  close(reason: string): void;
}

/** Resolves once the server listens for us; the signal ends an attempt, and has no part in the link after it. */
export type Connect = (order: LinkOrder, needs: LinkNeeds, signal: AbortSignal) => Promise<Link>;
