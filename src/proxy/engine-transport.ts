// Carries requests to the local engine over its unix socket: pooled for short exchanges, apart for endless ones, and a
// connection of its own for each hijack.

import type { IncomingMessage, ServerResponse } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { Pool } from 'undici';
import { toAgentError } from '../errors.ts';
import { createHangCheck } from './engine-hang.ts';
import { fetchPart } from './fetch-part.ts';
import { requestHeaders, toEngine, toEngineUpgrade } from './headers.ts';
import { openHijack } from './open-hijack.ts';
import { openStream } from './open-stream.ts';
import type {
  FetchedPart,
  FetchLimits,
  ForwardOptions,
  HijackAnswer,
  OpenLimits,
  ProxyRequest,
  Transport,
} from './proxy.ts';
import { type RawRequest, undiciDispatch } from './raw-handler.ts';
import { hasBody, relay } from './relay.ts';
import { createSocketClient } from './socket-client.ts';
import { splice } from './upgrade.ts';

export interface EngineTransportOptions {
  readonly socketPath: string;
}

/** undici wants an origin; nothing is ever resolved from it. */
const origin = 'http://docker';
/** dockerd never closes an idle connection; this only lets us shrink after a burst. */
const idleSocketMs = 60_000;
/** `/v1.41/version`, and room for versions to come. */
const maxTogetherChars = 24;

export interface EngineTransport extends Transport {
  /** Whether a request to the engine would have to wait, and not only fail. */
  hangs(signal: AbortSignal): Promise<boolean>;
  /** Opens a raw stream for a console, on a connection of its own. */
  hijack(request: ProxyRequest, limits: OpenLimits): Promise<HijackAnswer>;
  /** Destroys every connection to the engine. */
  close(): Promise<void>;
}

export function createEngineTransport(options: EngineTransportOptions): EngineTransport {
  const { socketPath } = options;
  const client = createSocketClient({ socketPath, isShared: isAskedTogether });
  const short = createPool(socketPath);
  // Endless streams never use the pool of short requests: a thousand log followers must not slow down its search
  // for a free connection.
  const endless = createPool(socketPath);
  const toBodyless = client.dispatch;
  const toShort = undiciDispatch(short);
  const toEndless = undiciDispatch(endless);
  const fetch = (request: ProxyRequest, limits: FetchLimits): Promise<FetchedPart> => {
    const dispatch = request.body === undefined ? toBodyless : toShort;
    return fetchPart(dispatch, request, requestHeaders(request.rawHeaders, toEngine), limits);
  };
  return {
    fetch,
    open: (request, limits) =>
      openStream(toEndless, request, requestHeaders(request.rawHeaders, toEngine), limits),
    hangs: createHangCheck({ fetch }),
    forward(request: ProxyRequest, req: IncomingMessage, res: ServerResponse, forward: ForwardOptions): void {
      const hasNone = forward.body === undefined && !hasBody(req);
      relay(forward.endless ? toEndless : hasNone ? toBodyless : toShort, request, req, res, {
        ...forward,
        headers: requestHeaders(request.rawHeaders, toEngine),
      });
    },
    splice(request: ProxyRequest, client: Duplex, head: Buffer, forward: ForwardOptions): void {
      void splice(request, client, head, {
        dial: () => dialEngine(socketPath),
        rules: toEngineUpgrade,
        answerHeaders: forward.answerHeaders,
        onUnreachable: forward.onUnreachable,
      });
    },
    hijack: (request, limits) => openHijack(() => dialEngine(socketPath), request, limits),
    async close(): Promise<void> {
      client.close();
      await Promise.all([short.destroy(), endless.destroy()]);
    },
  };
}

const together = /^(?:\/v\d+\.\d+)?\/(?:_ping|version|info)$/;

/** What clients ask again and again, and all get the same answer to (docs/adr/0012). */
function isAskedTogether({ method, path }: RawRequest): boolean {
  return path.length <= maxTogetherChars && (method === 'GET' || method === 'HEAD') && together.test(path);
}

function createPool(socketPath: string): Pool {
  // No deadline of its own: `stop?t=300` sends its headers after five minutes, and a body may be silent for ever.
  return new Pool(origin, {
    socketPath,
    connections: null,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: idleSocketMs,
    keepAliveMaxTimeout: idleSocketMs,
    maxHeaderSize: 1024 * 1024,
  });
}

function dialEngine(socketPath: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path: socketPath, allowHalfOpen: true });
    const onError = (error: Error): void => {
      reject(toAgentError(error, 'engine-unreachable', `dial engine at ${socketPath}`));
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      resolve(socket);
    });
  });
}
