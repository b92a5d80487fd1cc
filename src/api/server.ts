// An HTTP server whose every event ends in one handler: request, upgrade, connect and checkContinue alike, so that no
// kind of request slips past the gate (attack A-30). Sets the limits that Node's defaults get wrong for Docker.

import http, { IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type TlsOptions, Server as tlsServer } from 'node:tls';
import { AgentError, nodeCode } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { answerHalfClosed } from './half-close.ts';
import { createPipeline, type Pipeline } from './pipeline.ts';
import { type BoundSocket, bindPrivately, type UnixPlace } from './unix-socket.ts';

export interface ServerNeeds {
  readonly handle: (exchange: Exchange) => void;
  /** Whether this request turns its connection into a raw pipe, with or without an `Upgrade` header. */
  readonly isHijack: (method: string, target: string, upgrade: string | undefined) => boolean;
  /** Answers a request that its connection cannot take any more, in the listener's own shape; it ends behind that. */
  readonly refuse: (exchange: Exchange, error: AgentError) => void;
  /** Told why a connection was refused before a request could be made of it. */
  readonly onBadRequest: (reason: string) => void;
}

export interface ServerOptions {
  /** Idle keep-alive of a connection, milliseconds. */
  readonly keepAliveMs: number;
  /** For the TLS handshake of a new connection, milliseconds. Default: 30 s, where Node takes 120 s. */
  readonly handshakeTimeoutMs?: number;
}

export type ListenerState = 'starting' | 'listening' | 'closed';

/** One listener's life: not yet there, listening, and closed for good. */
export interface Listener {
  state(): ListenerState;
  /** Undefined `tls` is plain HTTP. Moves there if it listens already. Rejects with `unavailable` when the address cannot be had. */
  listen(host: string, port: number, tls: TlsOptions | undefined): Promise<AddressInfo>;
  /** The same on a unix socket, as plain HTTP. Rejects with what the file system says. */
  listenOnSocket(place: UnixPlace): Promise<BoundSocket>;
  /** For connections to come. */
  renewCertificate(tls: TlsOptions): void;
  /** Stops accepting and closes idle connections; resolves when the last one has ended, or at the deadline by force. */
  drain(deadline: AbortSignal): Promise<void>;
}

/** Registry credentials make headers of tens of KiB; Go's limit is 1 MiB (engine-api.md 1.16). */
const maxHeaderBytes = 1024 * 1024;
const defaultHandshakeTimeoutMs = 30_000;
/** For the headers alone; there is no deadline on a body (agent-api.md Q21). */
const headersTimeoutMs = 60_000;
/** Connections of one listener, idle ones included; beyond, new ones are refused. */
export const maxConnections: number = 16_384;
const tcpKeepAliveMs = 30_000;
const drainSweepMs = 50;
/** What a refused client still sends is dropped for so long, as Go's server does it. */
const refusedLingerMs = 500;

export function createListener(needs: ServerNeeds, options: ServerOptions): Listener {
  let live: { readonly server: Server; readonly sockets: ReadonlySet<Duplex> } | undefined;
  let closed = false;
  const open = async <T>(
    at: string,
    tls: TlsOptions | undefined,
    bind: (server: Server) => Promise<T>,
  ): Promise<T> => {
    if (closed) throw new AgentError('unavailable', `listen on ${at}: the listener was closed`);
    if (live !== undefined) await drain(live.server, live.sockets, AbortSignal.abort());
    live = undefined;
    const server = createServer(needs, options, tls);
    const sockets = trackSockets(server);
    try {
      const bound = await bind(server);
      live = { server, sockets };
      return bound;
    } catch (error) {
      server.close();
      throw error;
    }
  };
  return {
    state: () => (closed ? 'closed' : live === undefined ? 'starting' : 'listening'),
    listen: (host, port, tls) => open(`${host}:${port}`, tls, (server) => listen(server, host, port)),
    listenOnSocket: (place) =>
      open(place.path, undefined, (server) => {
        answerHalfClosed(server);
        return bindPrivately(server, place);
      }),
    renewCertificate(tls): void {
      if (live?.server instanceof tlsServer) live.server.setSecureContext(tls);
    },
    async drain(deadline): Promise<void> {
      closed = true;
      if (live !== undefined) await drain(live.server, live.sockets, deadline);
      live = undefined;
    },
  };
}

function createServer(needs: ServerNeeds, options: ServerOptions, tls: TlsOptions | undefined): Server {
  const pipeline = createPipeline();
  const settings = {
    IncomingMessage: hijackAwareRequest(needs.isHijack, pipeline),
    // Asked only for what the class above marks as an upgrade; an `Upgrade` elsewhere is ignored, as RFC 9110 allows.
    shouldUpgradeCallback: (): boolean => true,
    maxHeaderSize: maxHeaderBytes,
    requestTimeout: 0,
    headersTimeout: headersTimeoutMs,
    keepAliveTimeout: options.keepAliveMs,
    keepAlive: true,
    keepAliveInitialDelay: tcpKeepAliveMs,
    noDelay: true,
  };
  const server: Server =
    tls === undefined
      ? http.createServer(settings)
      : (https.createServer({
          ...settings,
          ...tls,
          handshakeTimeout: options.handshakeTimeoutMs ?? defaultHandshakeTimeoutMs,
        }) as unknown as Server);
  // Late output must not be lost once the client has closed its side (engine-api.md 6); node:http sees to that itself.
  // Not from the start: a client that leaves before its handshake, as every TCP health check does, would hold its
  // connection until the handshake's deadline.
  server.on('secureConnection', (socket: Duplex) => {
    socket.allowHalfOpen = true;
  });
  // `clientError` follows with an attempt to answer, which would wait for ever for the handshake (attack A-49).
  server.on('tlsClientError', (_error: Error, socket: Duplex) => socket.destroy());
  server.maxConnections = maxConnections;
  server.timeout = 0;
  attach(server, needs, pipeline);
  return server;
}

function attach(server: Server, needs: ServerNeeds, pipeline: Pipeline): void {
  const { handle, refuse: refuseRequest } = needs;
  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    pipeline.owe(req, res);
    handle({ kind: 'request', req, res });
  };
  server.on('request', onRequest);
  // The gate says whether the body is wanted (`acceptBody`); undici refuses `Expect`, so nothing else would.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
  const onRaw = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy());
    const exchange: Exchange = { kind: 'upgrade', req, socket, head };
    const { refusal } = req as HijackAware;
    if (refusal === undefined) handle(exchange);
    else pipeline.close(req.socket, () => refuseRequest(exchange, refusal));
  };
  server.on('upgrade', onRaw);
  server.on('connect', onRaw);
  const refused = new WeakSet<Duplex>();
  server.on('clientError', (error: Error, socket: Duplex) => {
    // The parser complains again about everything that still comes.
    if (refused.has(socket)) return;
    refused.add(socket);
    needs.onBadRequest(nodeCode(error) ?? error.message);
    refuse(socket, nodeCode(error));
  });
}

/** What Node could not parse gets an answer and its connection is closed: nothing behind it is trusted. */
function refuse(socket: Duplex, code: string | undefined): void {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  const body = '{"message":"Invalid request"}';
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  socket.end(`${head}Connection: close\r\n\r\n${body}`);
  // A client in the middle of sending reads a reset, and not our answer, when its bytes are not taken.
  const timer = setTimeout(() => socket.destroy(), refusedLingerMs);
  socket.once('close', () => clearTimeout(timer));
}

type HijackTest = ServerNeeds['isHijack'];

interface HijackAware extends IncomingMessage {
  readonly upgrade: boolean;
  /** Why its connection cannot take it. */
  readonly refusal: AgentError | undefined;
}

/**
 * Node hands a connection over only when the request carries `Upgrade`, yet Docker hijacks without it too
 * (engine-api.md 1.10). This request class answers `upgrade` from our own table instead, and stops the parser behind
 * the headers: what follows is stdin or the body of exec start, and never a second request. It does so, too, at a
 * request that the connection cannot take, so that nothing behind that is parsed.
 */
function hijackAwareRequest(isHijack: HijackTest, pipeline: Pipeline): typeof IncomingMessage {
  return class HijackAwareRequest extends IncomingMessage implements HijackAware {
    #upgrade: boolean | undefined;
    refusal: AgentError | undefined;

    constructor(socket: Socket) {
      super(socket);
      stopParserAtHijack(socket);
    }

    get upgrade(): boolean {
      this.#upgrade ??= this.#decide();
      return this.#upgrade;
    }

    #decide(): boolean {
      const hijacks =
        this.method === 'CONNECT' || isHijack(this.method ?? '', this.url ?? '', this.headers.upgrade);
      this.refusal = pipeline.refusalOf(this.socket, hijacks);
      return hijacks || this.refusal !== undefined;
    }

    /** Ignored until the method is known: Node first writes whether it saw the header, and later what came of it. */
    set upgrade(value: boolean) {
      if (this.method) this.#upgrade = value;
    }
  };
}

/** The part of Node's HTTP parser that this file leans on; test/conformance holds it in place. */
interface Parser {
  onIncoming: ((req: IncomingMessage, keepAlive: boolean) => number) & { stopsAtHijack?: true };
}

/** llhttp's answer for "an upgrade follows": it reads no body and stops behind the headers. */
const stopAfterHeaders = 2;

function stopParserAtHijack(socket: Socket): void {
  const { parser } = socket as Socket & { parser?: Parser | null };
  if (parser === undefined || parser === null || parser.onIncoming.stopsAtHijack === true) return;
  const original = parser.onIncoming;
  const stopping: Parser['onIncoming'] = (req, keepAlive) => {
    const result = original(req, keepAlive);
    return (req as HijackAware).upgrade ? stopAfterHeaders : result;
  };
  stopping.stopsAtHijack = true;
  parser.onIncoming = stopping;
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      reject(new AgentError('unavailable', `listen on ${host}:${port}: ${error.message}`, { cause: error }));
    };
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      resolve(server.address() as AddressInfo);
    });
  });
}

/**
 * Every TCP connection. Node's own list lacks the hijacked ones and those that never finished their TLS handshake, and
 * a server with one of them left never closes.
 */
function trackSockets(server: Server): ReadonlySet<Duplex> {
  const sockets = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

function drain(server: Server, sockets: ReadonlySet<Duplex>, deadline: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const force = (): void => {
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    };
    // A connection that was busy at first is idle once its answer has ended, and Node keeps it.
    const sweep = setInterval(() => server.closeIdleConnections(), drainSweepMs);
    server.close(() => {
      clearInterval(sweep);
      deadline.removeEventListener('abort', force);
      resolve();
    });
    server.closeIdleConnections();
    if (deadline.aborted) force();
    else deadline.addEventListener('abort', force, { once: true });
  });
}
