// A tunnel between a real server on loopback and an API of the test's own, with a path in between that can be cut.
// Its clock may run faster than ours, so that what takes half a minute is seen in seconds.

import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Tunnel, TunnelOrder, TunnelState } from '../../src/edge/edge.ts';
import { createTunnel, type TunnelOptions } from '../../src/edge/tunnel/tunnel.ts';
import { type LogFields, silentLogger } from '../../src/log.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { startStopwatch } from './stopwatch.ts';

export const testEdgeId = '7e2b0a0d-0f0e-4f0c-9a57-3f7c2d0b6c11';

/** What both kinds of tunnel server can do. */
export interface TunnelServer extends AsyncDisposable {
  readonly port: number;
  readonly scheme: '' | 'ssh://';
  readonly fingerprint: string;
  readonly user: string;
  readonly password: string;
  /** A tunnel may use this port from now on. */
  allow(port: number): void;
  /** What the server has seen of clients that logged in or tried to. */
  logins(): number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A path that works, that drops whatever is sent, or whose connections are cut. */
export interface Path extends AsyncDisposable {
  readonly port: number;
  cut(): void;
  blackHole(): void;
  heal(): void;
}

export interface Api extends AsyncDisposable {
  readonly port: number;
  connections(): number;
}

export interface TunnelBed extends AsyncDisposable {
  readonly server: TunnelServer;
  readonly api: Api;
  readonly path: Path;
  readonly tunnel: Tunnel;
  readonly order: TunnelOrder;
  /** Of the tunnel's clock. */
  nowMs(): number;
  until(kind: TunnelState['kind'], withinMs?: number): Promise<void>;
  /** Why the tunnel was not open, each time that it waited. */
  reasons(): readonly string[];
  opened(order?: TunnelOrder): Promise<void>;
}

export interface BedOptions {
  readonly startServer: () => Promise<TunnelServer>;
  readonly onSocket?: (socket: Socket) => void;
  /** In place of that API. */
  readonly dialLocal?: () => Promise<Socket>;
  readonly tunnel?: Partial<TunnelOptions>;
  /** Past the path that can be cut, which costs time. */
  readonly direct?: boolean;
  /** How many times faster than ours the tunnel's clock is. */
  readonly speed?: number;
}

/** A fast clock must not make half a minute of silence out of a moment in which the machine stood still. */
const maxStepMs = 25;

export async function startTunnelBed(options: BedOptions): Promise<TunnelBed> {
  const { speed = 1 } = options;
  const server = await options.startServer();
  const api = await startApi(options.onSocket ?? ((socket) => void socket.pipe(socket)));
  const path = await startPath(server.port);
  const port = await freePort();
  server.allow(port);
  const watch = speed === 1 ? undefined : startStopwatch(maxStepMs);
  const nowMs = (): number => (watch === undefined ? performance.now() : watch.elapsedMs() * speed);
  const reasons: string[] = [];
  const note = (_event: string, { reason }: LogFields = {}): void => {
    if (typeof reason === 'string') reasons.push(reason);
  };
  const tunnel = createTunnel(
    {
      dialLocal: options.dialLocal ?? (() => dial(api.port)),
      clock: {
        monotonicMs: nowMs,
        wallMs: () => Date.now(),
        after(delayMs, callback) {
          const timer = setTimeout(callback, delayMs / speed);
          return () => clearTimeout(timer);
        },
      },
      random: Math.random,
      log: { ...silentLogger, warn: note, debug: note },
    },
    {
      edgeId: testEdgeId,
      target: { host: '10.0.1.5', port: 9001 },
      inactivityMs: 3_600_000,
      proxy: undefined,
      ...options.tunnel,
    },
  );
  const order = {
    tunnelAddress: `${server.scheme}127.0.0.1:${options.direct === true ? server.port : path.port}`,
    fingerprint: server.fingerprint,
    port,
    credentials: encryptCredentials(server.user, server.password),
  };
  const until: TunnelBed['until'] = async (kind, withinMs) => {
    await eventually(
      () => {
        const state = tunnel.state();
        if (state.kind !== kind) throw new Error(`tunnel is ${JSON.stringify(state)}, expected ${kind}`);
      },
      withinMs === undefined ? {} : { withinMs },
    );
  };
  return {
    server,
    api,
    path,
    tunnel,
    order,
    nowMs,
    until,
    reasons: () => reasons,
    async opened(wanted = order): Promise<void> {
      tunnel.open(wanted);
      await until('open');
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await tunnel.close();
      watch?.[Symbol.dispose]();
      await path[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

/** As Portainer encrypts them. */
export function encryptCredentials(user: string, password: string, edgeId: string = testEdgeId): string {
  const key = Buffer.from(createHash('md5').update(edgeId).digest('hex'));
  const nonce = randomBytes(12);
  const gcm = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = Buffer.concat([nonce, gcm.update(`${user}:${password}`), gcm.final(), gcm.getAuthTag()]);
  return sealed.toString('base64').replaceAll('=', '');
}

export async function dial(port: number, host: string = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Sends the bytes and resolves with as many, then leaves. */
export async function echoed(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = await dial(port);
  const got: Buffer[] = [];
  let size = 0;
  socket.write(bytes);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    got.push(chunk);
    size += chunk.length;
    if (size >= bytes.length) break;
  }
  socket.destroy();
  return Buffer.concat(got);
}

async function startApi(onSocket: (socket: Socket) => void): Promise<Api> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => sockets.size,
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function startPath(targetPort: number): Promise<Path> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let holed = false;
  const stall = ([near, far]: readonly [Socket, Socket]): void => {
    for (const socket of [near, far]) socket.unpipe().pause();
  };
  const flow = ([near, far]: readonly [Socket, Socket]): void => {
    near.pipe(far);
    far.pipe(near);
  };
  const server = createServer((near) => {
    const far = connect(targetPort, '127.0.0.1');
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.on('error', () => undefined);
      socket.once('close', () => {
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
    if (holed) stall(pair);
    else flow(pair);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const [near, far] of pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    blackHole(): void {
      holed = true;
      for (const pair of pairs) stall(pair);
    },
    heal(): void {
      holed = false;
      for (const pair of pairs) flow(pair);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
