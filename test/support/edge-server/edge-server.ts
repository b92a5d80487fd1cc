// A Portainer server as Edge agents see it: polls with ETags, global keys, stacks, job logs and statuses (edge-routes.ts).
// It records every request, and fails on demand.

import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { freePort } from '../free-port.ts';
import {
  type EdgeServerState,
  type PollBody,
  type Reply,
  replyTo,
  type SeenRequest,
  type StackStatus,
} from './edge-routes.ts';

export interface EdgeServerOptions {
  readonly tls?: TlsOptions;
  readonly environmentId?: number;
  /** Servers up to 2.14 have the older status route only. */
  readonly olderOnly?: boolean;
  /** Default: an address that nobody listens at. */
  readonly tunnelAddress?: string;
  readonly fingerprint?: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
}

/** How a request fails. */
export type EdgeFault =
  | { readonly kind: 'status'; readonly status: number; readonly body?: string; readonly location?: string }
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset' }
  /** 200 and a page. */
  | { readonly kind: 'garbage' }
  /** Half of the body, and the connection is cut. */
  | { readonly kind: 'truncated' }
  /** The proper answer, this much later. */
  | { readonly kind: 'slow'; readonly delayMs: number };

export interface EdgeServer extends AsyncDisposable {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** An Edge key of this server, as Portainer writes it. */
  key(environmentId?: number): string;
  /** From the next poll on. */
  say(changes: Partial<PollBody>): void;
  /** Asked for each request; undefined lets it pass. Replaces the one before. */
  failWith(fault: (request: SeenRequest) => EdgeFault | undefined): void;
  /** The bound Edge ID, once an agent polled. */
  edgeId(): string | undefined;
  bindEdgeId(edgeId: string): void;
  requests(): readonly SeenRequest[];
  /** Those of the status routes. */
  polls(): readonly SeenRequest[];
  forget(): void;
  /** `StackFileContent`, `DirEntries` … by stack id. */
  readonly stackFiles: Map<number, unknown>;
  /** What agents reported, in order. */
  readonly stackStatuses: readonly StackStatus[];
  /** By job id. */
  readonly jobLogs: ReadonlyMap<number, string>;
  openConnections(): number;
  /** Called for each TLS connection from now on; replaces the one before. */
  onSecure(listener: (socket: TLSSocket) => void): void;
  /** Cuts every connection and refuses new ones. */
  down(): Promise<void>;
  up(): Promise<void>;
}

const anyFingerprint = 'wY9EIpAyb48SmO6YbjtgvR++gVm2HhFLLUSSKXBsoV8=';
const idle: PollBody = { status: 'IDLE', port: 0, schedules: [], checkin: 5, credentials: '', stacks: [] };

export async function startEdgeServer(options: EdgeServerOptions = {}): Promise<EdgeServer> {
  const host = options.host ?? '127.0.0.1';
  const state: EdgeServerState = {
    environmentId: options.environmentId ?? 7,
    olderOnly: options.olderOnly ?? false,
    said: idle,
    boundEdgeId: undefined,
    stackFiles: new Map(),
    stackStatuses: [],
    jobLogs: new Map(),
  };
  const requests: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  let fault: (request: SeenRequest) => EdgeFault | undefined = () => undefined;
  let secured: (socket: TLSSocket) => void = () => undefined;

  const handle = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const seen = await record(req);
    requests.push(seen);
    if (!(await fail(fault(seen), seen, res))) write(seen, res, replyTo(state, seen));
  };
  const listener = (req: IncomingMessage, res: ServerResponse): void => {
    // A client that leaves has nobody to be told.
    handle(req, res).catch(() => req.socket.destroy());
  };
  const listen = async (at: number): Promise<http.Server | https.Server> => {
    const listening =
      options.tls === undefined ? http.createServer(listener) : https.createServer(options.tls, listener);
    listening.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    listening.on('secureConnection', (socket: TLSSocket) => secured(socket));
    listening.listen(at, host);
    await once(listening, 'listening');
    return listening;
  };
  // It is listened at again after a time down.
  let server = await listen(options.port ?? (await freePort(host)));
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  const url = `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
  const down = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };

  return {
    url,
    host,
    port,
    key(id = state.environmentId) {
      const { tunnelAddress = '127.0.0.1:9', fingerprint = anyFingerprint } = options;
      const text = [url, tunnelAddress, fingerprint, id].join('|');
      return Buffer.from(text).toString('base64').replaceAll('=', '');
    },
    say(changes) {
      state.said = { ...state.said, ...changes };
    },
    failWith(next) {
      fault = next;
    },
    edgeId: () => state.boundEdgeId,
    bindEdgeId(edgeId) {
      state.boundEdgeId = edgeId;
    },
    requests: () => requests,
    polls: () => requests.filter(({ path }) => /^\/api\/endpoints\/\d+\/(?:edge\/)?status$/.test(path)),
    forget() {
      requests.length = 0;
    },
    stackFiles: state.stackFiles,
    stackStatuses: state.stackStatuses,
    jobLogs: state.jobLogs,
    openConnections: () => sockets.size,
    onSecure(next) {
      secured = next;
    },
    down,
    async up() {
      server = await listen(port);
    },
    [Symbol.asyncDispose]: down,
  };
}

async function record(req: IncomingMessage): Promise<SeenRequest> {
  const atMs = performance.now();
  const chunks: Buffer[] = [];
  for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
  const headers = Object.entries(req.headers).map(([name, value]) => [name, String(value)] as const);
  return {
    method: req.method ?? '',
    path: req.url ?? '',
    headers: Object.fromEntries(headers),
    rawHeaders: req.rawHeaders,
    body: Buffer.concat(chunks).toString('utf8'),
    from: req.socket.remoteAddress ?? '',
    atMs,
    status: undefined,
  };
}

function write(seen: SeenRequest, res: ServerResponse, { status, body, headers }: Reply): void {
  seen.status = status;
  res.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  res.end(body);
}

/** True when the request is dealt with. */
async function fail(fault: EdgeFault | undefined, seen: SeenRequest, res: ServerResponse): Promise<boolean> {
  switch (fault?.kind) {
    case undefined:
      return false;
    case 'status': {
      const headers: Record<string, string> = {};
      if (fault.location !== undefined) headers.Location = fault.location;
      write(seen, res, { status: fault.status, body: fault.body ?? '<html>Bad gateway</html>', headers });
      return true;
    }
    case 'hang':
      return true;
    case 'reset':
      res.destroy();
      return true;
    case 'garbage':
      write(seen, res, { status: 200, body: '<html>Welcome to our Wi-Fi</html>' });
      return true;
    case 'truncated':
      res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '500' });
      res.write('{"status":"IDLE","port":0,"sched', () => res.destroy());
      return true;
    case 'slow':
      await sleep(fault.delayMs);
      return false;
  }
}
