// The proxy: where a Docker request runs, and the transports that carry it there. Front door of the module.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { Member } from '../cluster/cluster.ts';
import type { Answer, Exchange } from '../exchange.ts';
import { portainerHeaders } from '../wire.ts';
import { decide, type ListKind, listKindOf, type StreamClass, streamClassOf } from './classify.ts';
import { createDispatch, type DispatchNeeds } from './dispatch.ts';
import { createFindOwner } from './owner/full-id.ts';

/**
 * A request that passed the gate. `path` is the origin-form target to forward, byte for byte as it was classified:
 * nothing downstream parses or rebuilds it.
 */
export interface ProxyRequest {
  readonly method: string;
  readonly path: string;
  /** Flat name, value list as Node gives it, before hop-by-hop removal. */
  readonly rawHeaders: readonly string[];
  /** Only for what is asked by ourselves; what is forwarded or spliced streams. */
  readonly body?: Buffer;
}

/** Carries an exchange to one place and streams the answer back. Settles when the exchange has ended either way. */
export interface Transport {
  /** Request in, answer out; the body streams in both directions with backpressure; a client that leaves aborts it. */
  forward(request: ProxyRequest, req: IncomingMessage, res: ServerResponse, options: ForwardOptions): void;
  /** A hijacking request: byte-exact splice with half-close. `head` is what the client sent after the headers. */
  splice(request: ProxyRequest, client: Duplex, head: Buffer, options: ForwardOptions): void;
  /** A request whose whole answer is wanted in memory, for merges and lookups. */
  fetch(request: ProxyRequest, limits: FetchLimits): Promise<FetchedPart>;
  /** A bodyless GET whose answer is read here while it lasts; among the endless streams. Who destroys the body ends it. */
  open(request: ProxyRequest, limits: OpenLimits): Promise<OpenAnswer>;
}

export interface ForwardOptions {
  /** An endless stream or a long transfer: kept out of the pool of short requests. */
  readonly endless: boolean;
  /**
   * Flat name, value list added to the answer, in the place of the upstream's headers of the same name. What is derived
   * from it is kept with the array: use one for many answers.
   */
  readonly answerHeaders: readonly string[];
  /**
   * An answer of this status is dropped, and `onDeclined` answers the client or asks elsewhere. Only for `forward`, of
   * requests without a body that streams.
   */
  readonly decline?: Decline;
  /** The request's whole body, where it was already read: sent instead of what the client still sends. Only for `forward`. */
  readonly body?: Buffer;
  /** Called when nothing of an answer has arrived and the client is still there: answers it, or tries elsewhere. */
  readonly onUnreachable: (error: unknown) => void;
}

export interface Decline {
  readonly status: number;
  readonly onDeclined: () => void;
}

export interface FetchLimits {
  readonly signal: AbortSignal;
  /** To the first byte of the answer, milliseconds. */
  readonly firstByteMs: number;
  /** Between two pieces of the body after that, milliseconds. A multiple of it bounds the whole (`maxIdleLimits`). */
  readonly idleMs: number;
  readonly maxBytes: number;
}

export interface FetchedPart {
  readonly status: number;
  /** Flat name, value list. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface OpenLimits {
  /** Ends the exchange at any time: within the body the body fails with its reason. */
  readonly signal: AbortSignal;
  /** To the head of the answer, milliseconds. */
  readonly firstByteMs: number;
}

export interface OpenAnswer {
  readonly status: number;
  /** Flat name, value list. */
  readonly rawHeaders: readonly string[];
  readonly body: Readable;
}

/** What an engine makes of a hijack that a console of ours asks for. */
export type HijackAnswer =
  /** Not read yet, with everything behind the head still in it. Whoever destroys it ends the hijack. */
  | { readonly kind: 'hijacked'; readonly stream: Duplex }
  /** `body` as far as it fits its bound. */
  | { readonly kind: 'refused'; readonly status: number; readonly body: Buffer };

/** The transport to one member, over pooled mutual TLS pinned to its record. */
export type PeerTransport = (member: Member) => Transport;

/** What the gate knows of a request's target. */
export interface DockerTarget {
  /** Decoded, without version. */
  readonly path: string;
  /** The same with its escapes untouched. */
  readonly rawPath: string;
  /** With the question mark, or empty. */
  readonly query: string;
  /** The version that the client asked in, such as `v1.41`. */
  readonly version: string | undefined;
}

export interface DockerExchange {
  readonly exchange: Exchange;
  readonly target: DockerTarget;
  /** Flat name, value list added to every answer. */
  readonly answerHeaders: readonly string[];
}

export interface DockerProxy {
  /** Runs an authenticated request where Portainer's decision table says. */
  steer(docker: DockerExchange): void;
  /** Runs it on the local engine in the version it came with, whatever its headers say: for requests from a peer. */
  here(docker: DockerExchange): void;
  /** Which merged list this path is; undefined for everything else. */
  listKindOf(path: string): ListKind | undefined;
}

/** How the items of a list name their node: for Portainer in a member of its own, for all others in a label. */
export type ListForm = 'portainer' | 'label';

/** This node's decorated part of a list, as an answer. */
export type ServePart = (
  kind: ListKind,
  form: ListForm,
  request: ProxyRequest,
  signal: AbortSignal,
) => Promise<Answer>;

/** What carrying out a decision needs; the owner's lookup is built here from the rest. */
export type ProxyNeeds = Omit<DispatchNeeds, 'findOwner'>;

export interface ProxyOptions {
  /** False where the agent stands alone: then everything runs here and the steering headers are ignored. */
  readonly clustered: () => boolean;
  readonly memberTimeoutMs: number;
}

export function createDockerProxy(needs: ProxyNeeds, options: ProxyOptions): DockerProxy {
  const dispatch = createDispatch({ ...needs, findOwner: createFindOwner(needs, options) });

  const parts = ({ exchange, target, answerHeaders }: DockerExchange, path: string) => {
    const { method = '', rawHeaders } = exchange.req;
    const stream: StreamClass = exchange.kind === 'upgrade' ? 'hijack' : streamClassOf(method, target.path);
    return { exchange, request: { method, path, rawHeaders }, stream, answerHeaders };
  };
  // The version is not passed on: the engine answers with its newest API (agent-api.md 6).
  const unversioned = ({ rawPath, query }: DockerTarget): string => `${rawPath}${query}`;

  return {
    listKindOf,
    steer(docker): void {
      const { headers, method = '' } = docker.exchange.req;
      if (!options.clustered()) {
        dispatch.run(parts(docker, unversioned(docker.target)), { kind: 'local' });
        return;
      }
      const steering = {
        target: steeringValue(headers[portainerHeaders.target]),
        managerOperation: steeringValue(headers[portainerHeaders.managerOperation]),
      };
      const { nodeName } = needs.view().self.record;
      dispatch.run(
        parts(docker, unversioned(docker.target)),
        decide(method, docker.target.path, steering, nodeName),
      );
    },
    here(docker): void {
      dispatch.run(parts(docker, versioned(docker.target)), { kind: 'local' });
    },
  };
}

/** The target as it came, version included. */
export function versioned({ rawPath, query, version }: DockerTarget): string {
  return version === undefined ? `${rawPath}${query}` : `/${version}${rawPath}${query}`;
}

/** A header sent twice is joined by Node, and then names no node: it fails closed as unknown (attack A-17). */
function steeringValue(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}
