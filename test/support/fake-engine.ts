// A Docker engine for tests: a real server on a unix socket that lists, streams, hijacks, and fails on demand.
// It records what it received byte for byte. Its answers follow the Engine API, but nothing runs behind them.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createExchange,
  createReceived,
  type Exchange,
  engineHeaders,
  type Received,
  send,
} from './engine/exchange.ts';
import { createState, type FakeEngineFacts, type FakeEngineState, type SwarmState } from './engine/model.ts';
import { type FakeExec, findRoute } from './engine/routes.ts';
import { createFeeds, type Feeds } from './engine/streams.ts';
import { type ByteReader, createByteReader, type Head, readHead } from './http-wire.ts';

export interface FakeEngineOptions {
  /** `Name` of `/info`. */
  readonly name?: string;
  readonly swarm?: SwarmState;
  readonly version?: string;
  readonly apiVersion?: string;
  readonly minApiVersion?: string;
}

/** How a request fails. */
export type Fault =
  /** Read, and never answered. */
  | { readonly kind: 'hang' }
  /** The connection is cut without an answer. */
  | { readonly kind: 'reset' }
  /** Bytes that are not HTTP. */
  | { readonly kind: 'garbage' }
  /** An answer of the engine's own, with this status. */
  | { readonly kind: 'status'; readonly status: number; readonly body: unknown }
  /** The proper answer, this much later. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Half of a body of known length, then the connection is cut. */
  | { readonly kind: 'cut-body' };

export interface FakeEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly facts: FakeEngineFacts;
  readonly state: FakeEngineState;
  readonly feeds: Feeds;
  /** Every request since the start or the last `forget`, in order. */
  received(): readonly Received[];
  /** The requests whose target holds this text. */
  receivedAt(targetPart: string): readonly Received[];
  forget(): void;
  /** Asked for each request; undefined lets it pass. Replaces the one before. */
  failWith(fault: (received: Received) => Fault | undefined): void;
  /** A promotion, a demotion, another version. */
  become(changes: Partial<FakeEngineFacts>): void;
  openConnections(): number;
  /** The engine stops: its socket is gone and every connection is cut. */
  down(): Promise<void>;
  up(): Promise<void>;
}

/** Between two requests on a kept connection; no test waits that long. */
const keepAliveMs = 3_600_000;
let enginesMade = 0;

export async function startFakeEngine(options: FakeEngineOptions = {}): Promise<FakeEngine> {
  enginesMade += 1;
  const folder = await mkdtemp(join(tmpdir(), 'fake-engine-'));
  const socketPath = join(folder, 'docker.sock');
  let facts = createFacts(options, `${process.pid}-${enginesMade}`);
  const state = createState();
  const feeds = createFeeds();
  const execs = new Map<string, FakeExec>();
  const requests: Received[] = [];
  const sockets = new Set<Socket>();
  let fault: (received: Received) => Fault | undefined = () => undefined;
  let server: Server | undefined;

  async function serveConnection(socket: Socket): Promise<void> {
    const reader = createByteReader(socket);
    let head = await readHead(reader, keepAliveMs);
    while (head !== undefined && (await serveExchange(head, socket, reader))) {
      head = await readHead(reader, keepAliveMs);
    }
    socket.end();
  }

  /** Answers one request; true when the connection may carry another. */
  async function serveExchange(head: Head, socket: Socket, reader: ByteReader): Promise<boolean> {
    const received = createReceived(head);
    requests.push(received);
    const { exchange, state: progress, release } = createExchange(head, socket, reader, facts, received);
    try {
      if (!(await failed(exchange, fault(received)))) await answer(exchange);
      for await (const _ of exchange.body());
      received.outcome = 'answered';
    } catch (error) {
      if (received.outcome === 'open') received.outcome = 'client-left';
      throw error;
    } finally {
      release();
    }
    return !progress.hijacked && head.headers.get('connection')?.toLowerCase() !== 'close';
  }

  async function answer(exchange: Exchange): Promise<void> {
    const foreign = versionFault(exchange.received.target, facts);
    if (foreign !== undefined) {
      await exchange.refuse(400, foreign, ['Api-Version', 'Ostype', 'Server', 'Date']);
      return;
    }
    const route = findRoute(exchange.method, exchange.path);
    if (route === undefined) await exchange.refuse(404, 'page not found', ['Date']);
    else await route.handle({ exchange, state, feeds, execs, name: route.name });
  }

  function listen(): Promise<Server> {
    const listener = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
      // A client that leaves ends its exchange with an error; there is nobody to tell.
      serveConnection(socket).catch(() => socket.destroy());
    });
    listener.listen(socketPath);
    return once(listener, 'listening').then(() => listener);
  }

  async function down(): Promise<void> {
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    server = undefined;
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  server = await listen();
  return {
    socketPath,
    get facts() {
      return facts;
    },
    state,
    feeds,
    received: () => requests,
    receivedAt: (part) => requests.filter(({ target }) => target.includes(part)),
    forget() {
      requests.length = 0;
    },
    failWith(next) {
      fault = next;
    },
    become(changes) {
      facts = { ...facts, ...changes };
    },
    openConnections: () => sockets.size,
    down,
    async up() {
      server ??= await listen();
    },
    async [Symbol.asyncDispose]() {
      await down();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function createFacts(options: FakeEngineOptions, id: string): FakeEngineFacts {
  const name = options.name ?? 'node1';
  return {
    name,
    engineId: `FAKE:${id}`,
    swarm: options.swarm ?? 'inactive',
    nodeId: `node${id.replace('-', 'x')}`.padEnd(25, '0'),
    version: options.version ?? '20.10.24',
    apiVersion: options.apiVersion ?? '1.41',
    minApiVersion: options.minApiVersion ?? '1.12',
  };
}

/** What an engine says of a version that it does not speak, or undefined. */
function versionFault(target: string, facts: FakeEngineFacts): string | undefined {
  const asked = /^\/v([0-9.]+)\//.exec(target)?.[1];
  if (asked === undefined) return undefined;
  if (compareVersions(asked, facts.apiVersion) > 0) {
    return `client version ${asked} is too new. Maximum supported API version is ${facts.apiVersion}`;
  }
  if (compareVersions(asked, facts.minApiVersion) < 0) {
    return `client version ${asked} is too old. Minimum supported API version is ${facts.minApiVersion}, please upgrade your client to a newer version`;
  }
  return undefined;
}

/** Part by part, what is missing counting as 0, as the engine compares: 1.41.0 is 1.41. */
function compareVersions(left: string, right: string): number {
  const lefts = left.split('.').map(Number);
  const rights = right.split('.').map(Number);
  for (let at = 0; at < Math.max(lefts.length, rights.length); at += 1) {
    const difference = (lefts[at] ?? 0) - (rights[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Performs the fault; true when it took the place of the answer. */
async function failed(exchange: Exchange, fault: Fault | undefined): Promise<boolean> {
  switch (fault?.kind) {
    case undefined:
      return false;
    case 'hang':
      await new Promise((_, reject) => {
        exchange.socket.once('close', () => reject(new Error('client has left')));
        // Reading shows when the client ends its side.
        void exchange.reader.ready().then((more) => {
          if (!more) reject(new Error('client has left'));
        });
      });
      return true;
    case 'reset':
      exchange.socket.destroy();
      throw new Error('reset on demand');
    case 'garbage':
      await send(exchange.socket, 'this is not HTTP\r\n\r\n');
      exchange.socket.end();
      throw new Error('garbage on demand');
    case 'status':
      await exchange.answer(fault.status, fault.body);
      return true;
    case 'slow':
      await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      return false;
    case 'cut-body':
      await send(exchange.socket, cutBody(exchange.facts));
      exchange.socket.end();
      throw new Error('cut on demand');
  }
}

function cutBody(facts: FakeEngineFacts): string {
  const headers = Object.entries(engineHeaders(facts)).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 200 OK\r\n${headers.join('')}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n[{"Id":`;
}

export type { Received } from './engine/exchange.ts';
