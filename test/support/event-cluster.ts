// Three engines with events behind a unix socket and two real peer listeners, the merged stream in front of them on a
// real server, and its clients. Teardown fails on what is still open.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http, { type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Member, MissingMember } from '../../src/cluster/cluster.ts';
import { leaveSignal } from '../../src/exchange.ts';
import { silentLogger } from '../../src/log.ts';
import { createPeerTransports } from '../../src/proxy/agent-transport.ts';
import { createBreakers } from '../../src/proxy/breakers.ts';
import { createEngineTransport } from '../../src/proxy/engine-transport.ts';
import { createEvents, type EventsOptions } from '../../src/proxy/events/events.ts';
import type { OpenLimits, ProxyRequest } from '../../src/proxy/proxy.ts';
import { startTimer } from '../../src/proxy/timer.ts';
import { peerPaths } from '../../src/wire.ts';
import { createEventClient, type EventClient } from './event-client.ts';
import { createEventEngine, type EventEngine } from './event-engine.ts';
import { eventually } from './eventually.ts';
import { createViews, type FakePeer, startFakePeer, type Views } from './fake-peer.ts';
import { createTestIdentity } from './identity.ts';

export interface EventCluster extends AsyncDisposable {
  /** Of node-1, which is asked, and of node-2 and node-3. */
  readonly engines: readonly [EventEngine, EventEngine, EventEngine];
  readonly peers: readonly [FakePeer, FakePeer];
  readonly views: Views;
  /** Where clients that are no proper ones connect. */
  readonly port: number;
  /** May be changed between requests. */
  readonly settings: Omit<EventsOptions, 'memberTimeoutMs'> & { memberTimeoutMs: number; strict: boolean };
  /** Replaces what answers for node 1, 2 or 3; members go on answering probes. */
  serve(node: number, listener: RequestListener): void;
  get(query?: string, headers?: Readonly<Record<string, string>>): http.ClientRequest;
  request(query?: string, headers?: Readonly<Record<string, string>>): Promise<IncomingMessage>;
  follow(query?: string, headers?: Readonly<Record<string, string>>): Promise<EventClient>;
  /** Until each engine is followed once. */
  allOpen(): Promise<void>;
  /** Until no engine is followed. */
  noneOpen(): Promise<void>;
  /** What waits in this process for clients to read it. */
  bufferedBytes(): number;
}

/** For nodes that answer: a machine with much to do may let them wait. Tests of the deadline set a short one. */
export const memberTimeoutMs = 15_000;

export async function startEventCluster(): Promise<EventCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-events-'));
  const engines = [createEventEngine(), createEventEngine(), createEventEngine()] as const;
  const engineSockets = new Set<Socket>();
  const answers = new Set<http.ServerResponse>();
  const requests: http.ClientRequest[] = [];
  let serveEngine: RequestListener = engines[0].serve;
  const socketPath = join(folder, 'docker.sock');
  const engineServer = http.createServer((req, res) => serveEngine(req, res));
  engineServer.on('connection', (socket: Socket) => {
    engineSockets.add(socket);
    socket.once('close', () => engineSockets.delete(socket));
  });
  engineServer.listen(socketPath);
  const peers = [await startFakePeer('node-2'), await startFakePeer('node-3')] as const;
  const serve: EventCluster['serve'] = (node, listener) => {
    if (node === 1) serveEngine = listener;
    else peers[node - 2]?.serve(withHealth(listener));
  };
  serve(2, engines[1].serve);
  serve(3, engines[2].serve);

  const views = createViews(
    peers.map(({ member }) => member),
    'node-1',
  );
  const engine = createEngineTransport({ socketPath });
  const transports = createPeerTransports(views, { ...(await createTestIdentity()), passSignature: false });
  const breakers = createBreakers({ ...views, probe: transports.probe, log: silentLogger });
  transports.start();
  breakers.start();
  const ownListeners = views.listeners();
  const settings = { memberTimeoutMs, members: 'asked', strict: false } as EventCluster['settings'];

  const answer = async (req: IncomingMessage, res: http.ServerResponse): Promise<void> => {
    const needs = {
      engine: engine.open,
      member: (member: Member, request: ProxyRequest, limits: OpenLimits) =>
        transports.to(member).open(request, limits),
      breakers,
      ...views,
      now: Date.now,
      startTimer,
      random: () => 0,
      log: silentLogger,
    };
    const exchange = { kind: 'request', req, res } as const;
    const [, version, path = '', query = ''] = /^(?:\/(v[\d.]+))?([^?]*)(.*)$/.exec(req.url ?? '') ?? [];
    const call = {
      method: 'GET',
      target: { path, rawPath: path, query, version },
      params: {},
      rawHeaders: req.rawHeaders,
      view: views.view(),
      signal: leaveSignal(exchange),
      strict: settings.strict,
    };
    answers.add(res);
    res.once('close', () => answers.delete(res));
    await createEvents(needs, settings)(call, exchange, ['Api-Version', '1.41']);
  };
  const front = http.createServer((req, res) => void answer(req, res));
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');

  const { port } = front.address() as AddressInfo;
  const get: EventCluster['get'] = (query = '', headers = {}) => {
    const outgoing = http.get({ host: '127.0.0.1', port, path: `/v1.41/events${query}`, headers });
    outgoing.on('error', () => undefined);
    requests.push(outgoing);
    return outgoing;
  };
  const request: EventCluster['request'] = async (query, headers) => {
    const [response] = (await once(get(query, headers), 'response')) as [IncomingMessage];
    return response;
  };
  const streams = (): number => engines.reduce((sum, each) => sum + each.streams(), 0);

  return {
    port,
    engines,
    peers,
    views,
    settings,
    serve,
    get,
    request,
    follow: async (query, headers) => createEventClient(await request(query, headers)),
    async allOpen(): Promise<void> {
      await eventually(() => engines.every((each) => each.streams() === 1));
    },
    async noneOpen(): Promise<void> {
      await eventually(() => streams() === 0 && engineSockets.size === 0);
    },
    bufferedBytes: () => [...answers].reduce((sum, { writableLength }) => sum + writableLength, 0),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const each of requests) each.destroy();
      await eventually(() => views.listeners() === ownListeners);
      await eventually(() => streams() === 0);
      breakers.stop();
      await Promise.all([transports.stop(), engine.close()]);
      await eventually(() => engineSockets.size + peers[0].openSockets() + peers[1].openSockets() === 0);
      engineServer.close();
      front.closeAllConnections();
      front.close();
      await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
      await rm(folder, { recursive: true });
    },
  };
}

/** How the view names a member that died. */
export function deathOf({ record }: Member): MissingMember {
  return { nodeName: record.nodeName, engineId: record.engineId, reason: 'dead', sinceMs: 0 };
}

function withHealth(listener: RequestListener): RequestListener {
  return (req, res) => {
    if (req.url === peerPaths.health) res.writeHead(204).end();
    else listener(req, res);
  };
}
