// Carries requests to other agents over pooled mutual TLS. Each member has a lane of its own, bound to one record: a
// connection is used only if it shows the certificate of that record, and all of them end when the record is replaced or
// the member has died. One that left takes no new requests, and finishes those that it has.

import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { Pool } from 'undici';
import type { ClusterView, Member, MemberRecord } from '../cluster/cluster.ts';
import { AgentError, nodeCode } from '../errors.ts';
import { decorateHeader, peerPaths } from '../wire.ts';
import { fetchPart } from './fetch-part.ts';
import { type RequestHeaderRules, requestHeaders } from './headers.ts';
import { openStream } from './open-stream.ts';
import { createPeerDialer, type PeerDialer, type PeerDialerOptions } from './peer-dialer.ts';
import type {
  FetchedPart,
  FetchLimits,
  ListForm,
  OpenLimits,
  PeerTransport,
  ProxyRequest,
  Transport,
} from './proxy.ts';
import { undiciDispatch } from './raw-handler.ts';
import { relay } from './relay.ts';
import { splice } from './upgrade.ts';

export interface PeerTransportNeeds {
  readonly view: () => ClusterView;
  readonly onViewChange: (listener: (view: ClusterView) => void) => () => void;
}

export interface PeerTransportOptions extends PeerDialerOptions {
  /** True in a cluster without a secret: the member verifies the client's signature itself (design.md, Trust). */
  readonly passSignature: boolean;
}

export interface PeerTransports {
  readonly to: PeerTransport;
  /** A list whose items the member decorates itself, Portainer's way if not told; as `Transport.fetch` otherwise. */
  fetchDecorated(
    member: Member,
    request: ProxyRequest,
    limits: FetchLimits,
    form?: ListForm,
  ): Promise<FetchedPart>;
  /** Resolves when the member's agent answers on a connection of its own. */
  probe(member: Member, limits: FetchLimits): Promise<void>;
  start(): void;
  /** Destroys every connection. */
  stop(): Promise<void>;
}

/** Sockets to one member for lists and lookups; more of them wait. They are bounded apart, so that slow calls of other
 * kinds cannot make a list late and the member look dead. */
export const maxListSockets: number = 32;
/** Sockets to one member for other short requests; more of them wait. */
export const maxShortSockets: number = 256;
/** Sockets to one member for endless streams and transfers; more of them wait. */
export const maxEndlessSockets: number = 8_192;
/** A probe's own connection: probes follow one another, and one that hangs must not hold up the next. */
const probeDialTimeoutMs = 1_000;
/** How long an unused connection is kept, milliseconds; a peer that announces less is obeyed. */
const idleSocketMs = 60_000;

export function createPeerTransports(
  needs: PeerTransportNeeds,
  options: PeerTransportOptions,
): PeerTransports {
  const dialer = createPeerDialer(options);
  const rules: RequestHeaderRules = { keepSignature: options.passSignature, keepUpgrade: false };
  const lanes = new Map<string, Lane>();
  /** Of members that left: until their last request has ended. */
  const leaving = new Set<Lane>();
  let stopListening: (() => void) | undefined;
  let stopped = false;

  const laneOf = (member: Member): Lane => {
    const { record } = member;
    const known = lanes.get(record.peerId);
    if (known !== undefined && isSame(known.record, record)) return known;
    // A request may hold a view from before a death: it must not bring the lane back.
    if (stopped || !needs.view().members.some((current) => isSame(current.record, record))) {
      throw new AgentError('member-unreachable', `reach agent ${record.nodeName}: it is no member any more`);
    }
    if (known !== undefined) void known.close();
    const lane = createLane(record, dialer, rules);
    lanes.set(record.peerId, lane);
    return lane;
  };

  const prune = (view: ClusterView): void => {
    for (const [peerId, lane] of lanes) {
      if (view.members.some(({ record }) => isSame(record, lane.record))) continue;
      lanes.delete(peerId);
      if (hasLeft(lane.record, view)) void finish(lane);
      else void lane.close();
    }
  };

  const finish = async (lane: Lane): Promise<void> => {
    leaving.add(lane);
    await lane.finish();
    leaving.delete(lane);
  };

  return {
    to: (member) => lazyTransport(() => laneOf(member).transport),
    // Asynchronous so that a member that is gone rejects, as every other failure does.
    fetchDecorated: async (member, request, limits, form = 'portainer') =>
      laneOf(member).fetch(request, limits, [decorateHeader, form]),
    probe: async (member, limits) => laneOf(member).probe(limits),
    start(): void {
      stopped = false;
      stopListening ??= needs.onViewChange(prune);
    },
    async stop(): Promise<void> {
      stopped = true;
      stopListening?.();
      stopListening = undefined;
      const closing = [...lanes.values(), ...leaving].map((lane) => lane.close());
      lanes.clear();
      await Promise.all(closing);
    },
  };
}

/** What a connection was checked against; anything else in a record may change under it. */
function isSame(one: MemberRecord, other: MemberRecord): boolean {
  return (
    one === other ||
    (one.peerId === other.peerId &&
      one.generation === other.generation &&
      one.address === other.address &&
      one.peerPort === other.peerPort &&
      one.tlsFingerprint === other.tlsFingerprint)
  );
}

/** Neither dead nor replaced: it said goodbye, or this agent did, and its streams have their time to end. */
function hasLeft({ engineId }: MemberRecord, view: ClusterView): boolean {
  return (
    !view.missing.some((missing) => missing.engineId === engineId) &&
    !view.members.some(({ record }) => record.engineId === engineId)
  );
}

/** A transport that finds its lane at each call, and reports a member that is gone as any other failure. */
function lazyTransport(find: () => Transport): Transport {
  return {
    forward(request, req, res, options): void {
      attempt(() => find().forward(request, req, res, options), options.onUnreachable);
    },
    splice(request, client, head, options): void {
      attempt(() => find().splice(request, client, head, options), options.onUnreachable);
    },
    fetch: async (request, limits) => find().fetch(request, limits),
    open: async (request, limits) => find().open(request, limits),
  };
}

function attempt(call: () => void, onUnreachable: (error: unknown) => void): void {
  try {
    call();
  } catch (error) {
    onUnreachable(error);
  }
}

/** All connections to one member under one record. */
interface Lane {
  readonly record: MemberRecord;
  readonly transport: Transport;
  fetch(request: ProxyRequest, limits: FetchLimits, added: readonly string[]): Promise<FetchedPart>;
  probe(limits: FetchLimits): Promise<void>;
  /** Takes nothing new, and resolves when what is under way has ended. */
  finish(): Promise<void>;
  /** Destroys every connection. */
  close(): Promise<void>;
}

function createLane(record: MemberRecord, dialer: PeerDialer, rules: RequestHeaderRules): Lane {
  const closed = new AbortController();
  const dial = (timeoutMs?: number): Promise<TLSSocket> =>
    dialer(record, { timeoutMs, signal: closed.signal });
  const lists = createPool(record, dial, maxListSockets);
  const short = createPool(record, dial, maxShortSockets);
  const endless = createPool(record, dial, maxEndlessSockets);
  // Never reused: a connection from before a network cut may hang in TCP's back-off long after the network is back.
  const probes = createPool(record, () => dial(probeDialTimeoutMs), 1, 0);
  const pools = [lists, short, endless, probes];
  const [toLists, toShort, toEndless, toProbes] = [
    undiciDispatch(lists),
    undiciDispatch(short),
    undiciDispatch(endless),
    undiciDispatch(probes),
  ];
  const hijacks = createHijacks(record, dialer, { ...rules, keepUpgrade: true });

  const fetch = (
    request: ProxyRequest,
    limits: FetchLimits,
    added: readonly string[],
  ): Promise<FetchedPart> =>
    sendTwice(request, limits, (left) =>
      fetchPart(toLists, request, [...peerHeaders(request, rules), ...added], left),
    );

  return {
    record,
    fetch,
    transport: {
      forward(request, req, res, forward): void {
        const headers = peerHeaders(request, rules);
        relay(forward.endless ? toEndless : toShort, request, req, res, { ...forward, headers });
      },
      splice: hijacks.splice,
      fetch: (request, limits) => fetch(request, limits, []),
      open: (request, limits) =>
        sendTwice(request, limits, (left) =>
          openStream(toEndless, request, peerHeaders(request, rules), left),
        ),
    },
    async probe(limits): Promise<void> {
      const request = { method: 'GET', path: peerPaths.health, rawHeaders: [] };
      const { status } = await fetchPart(toProbes, request, [], limits);
      if (status >= 300)
        throw new AgentError('member-unreachable', `probe ${record.nodeName}: status ${status}`);
    },
    async finish(): Promise<void> {
      await Promise.all([hijacks.finish(), ...pools.map((pool) => pool.close().catch(() => undefined))]);
    },
    async close(): Promise<void> {
      hijacks.close();
      const reason = gone(record);
      const destroyed = pools.map((pool) => pool.destroy(reason));
      closed.abort(reason);
      await Promise.all(destroyed);
    },
  };
}

function gone({ nodeName }: MemberRecord): AgentError {
  return new AgentError('member-unreachable', `reach agent ${nodeName}: it left, died or changed`);
}

/** Hijacked connections to one member: each has its own. */
interface Hijacks extends Pick<Transport, 'splice'> {
  /** Resolves when all have ended; one that is not connected yet is something new, and refused. */
  finish(): Promise<void>;
  close(): void;
}

function createHijacks(record: MemberRecord, dialer: PeerDialer, rules: RequestHeaderRules): Hijacks {
  const dials = new AbortController();
  const open = new Set<Duplex>();

  const dial = async (): Promise<Duplex> => {
    const socket = await dialer(record, { signal: dials.signal });
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  };

  return {
    splice(request, client, head, { answerHeaders, onUnreachable }): void {
      void splice(request, client, head, { dial, rules, answerHeaders, onUnreachable });
    },
    async finish(): Promise<void> {
      dials.abort(gone(record));
      await Promise.all([...open].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    },
    close(): void {
      dials.abort(gone(record));
      for (const socket of open) socket.destroy();
    },
  };
}

function createPool(
  record: MemberRecord,
  dial: () => Promise<TLSSocket>,
  connections: number,
  pipelining = 1,
): Pool {
  return new Pool(originOf(record), {
    connections,
    pipelining,
    // No deadline of its own: a body may be silent for ever, and who wants a limit brings it.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: idleSocketMs,
    keepAliveMaxTimeout: idleSocketMs,
    maxHeaderSize: 1024 * 1024,
    connect: (_options, callback) => {
      dial().then(
        (socket) => callback(null, socket),
        (error: Error) => callback(error, null),
      );
    },
  });
}

function originOf({ address, peerPort }: MemberRecord): string {
  return `https://${address.includes(':') ? `[${address}]` : address}:${peerPort}`;
}

/** Without `Host`: undici derives a TLS server name from it, and drops the connection whenever that changes. */
function peerHeaders(request: ProxyRequest, rules: RequestHeaderRules): string[] {
  const headers = requestHeaders(request.rawHeaders, rules);
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (headers[i]?.toLowerCase() === 'host') headers.splice(i, 2);
  }
  return headers;
}

/**
 * A GET whose connection broke is sent once more, within the same deadline: the peer may have closed an idle connection
 * at the very moment it was taken from the pool.
 */
async function sendTwice<Limits extends OpenLimits, Result>(
  { method }: ProxyRequest,
  limits: Limits,
  send: (limits: Limits) => Promise<Result>,
): Promise<Result> {
  const startedMs = performance.now();
  try {
    return await send(limits);
  } catch (error) {
    const leftMs = Math.ceil(limits.firstByteMs - (performance.now() - startedMs));
    if (method !== 'GET' || !isBroken(error) || limits.signal.aborted || leftMs <= 0) throw error;
    return send({ ...limits, firstByteMs: leftMs });
  }
}

function isBroken(error: unknown): boolean {
  const code = nodeCode(error);
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}
