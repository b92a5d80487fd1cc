// The public types of the proxy module: where a request runs, and the transports that carry it there.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Member } from '../cluster/cluster.ts';

/**
 * A request that passed the gate. `path` is the origin-form target to forward, byte for byte as it was classified:
 * nothing downstream parses or rebuilds it.
 */
export interface ProxyRequest {
  readonly method: string;
  readonly path: string;
  /** Flat name, value list as Node gives it, before hop-by-hop removal. */
  readonly rawHeaders: readonly string[];
}

/** Carries an exchange to one place and streams the answer back. Settles when the exchange has ended either way. */
export interface Transport {
  /** Request in, answer out; the body streams in both directions with backpressure; a client that leaves aborts it. */
  forward(request: ProxyRequest, req: IncomingMessage, res: ServerResponse, options: ForwardOptions): void;
  /** A hijacking request: byte-exact splice with half-close. `head` is what the client sent after the headers. */
  splice(request: ProxyRequest, client: Duplex, head: Buffer, options: ForwardOptions): void;
  /** A bodyless GET whose whole answer is wanted in memory, for merges and lookups. */
  fetch(request: ProxyRequest, limits: FetchLimits): Promise<FetchedPart>;
}

export interface ForwardOptions {
  /** Flat name, value list added to the answer. */
  readonly answerHeaders: readonly string[];
  /** Writes the answer for a failure before the first byte. Without it the transport's documented answer is used. */
  readonly onUnreachable?: (error: unknown) => void;
}

export interface FetchLimits {
  readonly signal: AbortSignal;
  /** To the first byte of the answer, milliseconds. */
  readonly firstByteMs: number;
  /** Between two pieces of the body after that, milliseconds. */
  readonly idleMs: number;
  readonly maxBytes: number;
}

export interface FetchedPart {
  readonly status: number;
  /** Flat name, value list. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/** The transport to one member, over pooled mutual TLS pinned to its record. */
export type PeerTransport = (member: Member) => Transport;
