// The proxy: where a Docker request runs, and the transports that carry it there. Front door of the module.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Member } from '../cluster/cluster.ts';
import type { Answer, Exchange } from '../exchange.ts';
import { portainerHeaders } from '../wire.ts';
import { decide, type ListKind, listKindOf, streamClassOf } from './classify.ts';
import { createDispatch, type DispatchNeeds } from './dispatch.ts';
import { createFindOwner } from './owner.ts';

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
  /** An endless stream or a long transfer: kept out of the pool of short requests. */
  readonly endless: boolean;
  /** Flat name, value list added to the answer. */
  readonly answerHeaders: readonly string[];
  /** Called when nothing of an answer has arrived and the client is still there: answers it, or tries elsewhere. */
  readonly onUnreachable: (error: unknown) => void;
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

/** What the gate knows of a request's target. */
export interface DockerTarget {
  /** Decoded, without version. */
  readonly path: string;
  /** The same with its escapes untouched. */
  readonly rawPath: string;
  /** With the question mark, or empty. */
  readonly query: string;
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
  /** Runs it on the local engine, whatever its headers say: for requests that come from a peer. */
  here(docker: DockerExchange): void;
  /** Which merged list this path is; undefined for everything else. */
  listKindOf(path: string): ListKind | undefined;
}

/** This node's decorated part of a list, as an answer. */
export type ServePart = (kind: ListKind, request: ProxyRequest, signal: AbortSignal) => Promise<Answer>;

/** What carrying out a decision needs; the owner's lookup is built here from the rest. */
export type ProxyNeeds = Omit<DispatchNeeds, 'findOwner'>;

export interface ProxyOptions {
  /** False where the agent stands alone: then everything runs here and the steering headers are ignored. */
  readonly clustered: () => boolean;
  readonly memberTimeoutMs: number;
}

export function createDockerProxy(needs: ProxyNeeds, options: ProxyOptions): DockerProxy {
  const dispatch = createDispatch({ ...needs, findOwner: createFindOwner(needs, options) });

  const parts = ({ exchange, target, answerHeaders }: DockerExchange) => {
    const { method = '', rawHeaders } = exchange.req;
    const stream = exchange.kind === 'upgrade' ? 'hijack' : streamClassOf(method, target.path);
    // The version is not passed on: the engine answers with its newest API (agent-api.md 6).
    const request: ProxyRequest = { method, path: `${target.rawPath}${target.query}`, rawHeaders };
    return { exchange, request, stream, answerHeaders };
  };

  return {
    listKindOf,
    steer(docker): void {
      const { headers, method = '' } = docker.exchange.req;
      if (!options.clustered()) {
        dispatch.run(parts(docker), { kind: 'local' });
        return;
      }
      const steering = {
        target: steeringValue(headers[portainerHeaders.target]),
        managerOperation: steeringValue(headers[portainerHeaders.managerOperation]),
      };
      const { nodeName } = needs.view().self.record;
      dispatch.run(parts(docker), decide(method, docker.target.path, steering, nodeName));
    },
    here(docker): void {
      dispatch.run(parts(docker), { kind: 'local' });
    },
  };
}

/** A header sent twice is joined by Node, and then names no node: it fails closed as unknown (attack A-17). */
function steeringValue(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}
