// A websocket console as Portainer's server opens one: over TLS without verifying or through a tunnel, signed, with the target header always
// there. Keeps what arrived frame by frame, so that a test can say what must not be lost.

import { once } from 'node:events';
import WebSocket from 'ws';
import { eventually } from './eventually.ts';
import type { Signer } from './signer.ts';

export interface ConsoleCall {
  readonly host: string;
  readonly port: number;
  /** Without TLS, as through a tunnel. */
  readonly plain?: boolean;
  /** With its query. */
  readonly path: string;
  readonly signer?: Signer;
  /** Default: there, and empty, as the server sends it without a node. */
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ConsoleClient extends AsyncDisposable {
  readonly socket: WebSocket;
  /** Resolves when the frame has left this process. */
  send(data: string | Buffer): Promise<void>;
  /** Everything that came so far. */
  bytes(): Buffer;
  /** How many frames were text, and how many binary. */
  frames(): { readonly text: number; readonly binary: number };
  pings(): number;
  /** Gives what came, and from now on what comes, to the listener, and keeps nothing. */
  takeOver(listener: (bytes: Buffer) => void): void;
  /** Until the output holds this. */
  until(text: string, withinMs?: number): Promise<void>;
  /** The close code that the other side sent; 1006 without one. */
  closed(): Promise<number>;
}

/** An HTTP answer in the place of an upgrade. */
export class ConsoleRefused extends Error {
  override readonly name = 'ConsoleRefused';
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;

  constructor(status: number, headers: NodeJS.Dict<string | string[]>, body: string) {
    super(`console refused with ${status}: ${body}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

const openTimeoutMs = 15_000;

export async function openConsole(call: ConsoleCall): Promise<ConsoleClient> {
  const host = call.host.includes(':') ? `[${call.host}]` : call.host;
  const socket = new WebSocket(`${call.plain === true ? 'ws' : 'wss'}://${host}:${call.port}${call.path}`, {
    rejectUnauthorized: false,
    perMessageDeflate: false,
    handshakeTimeout: openTimeoutMs,
    headers: {
      ...call.signer?.headers(),
      'X-PortainerAgent-Target': call.target ?? '',
      'X-PortainerAgent-SA-Token': '',
      ...call.headers,
    },
  });
  const received = collect(socket);
  const closed = once(socket, 'close').then(([code]) => Number(code));
  await opened(socket);
  return {
    socket,
    send: (data) =>
      new Promise((resolve, reject) => {
        socket.send(data, (error) => (error ? reject(error) : resolve()));
      }),
    ...received,
    until: (text, withinMs = 10_000) =>
      eventually(
        () => {
          const all = received.bytes();
          if (!all.includes(text))
            throw new Error(
              `no ${JSON.stringify(text)} in ${all.length} bytes: ${all.toString().slice(-500)}`,
            );
        },
        { withinMs },
      ),
    closed: () => closed,
    [Symbol.asyncDispose]: async () => {
      socket.terminate();
      await closed;
    },
  };
}

function collect(socket: WebSocket): Pick<ConsoleClient, 'bytes' | 'frames' | 'pings' | 'takeOver'> {
  let pieces: Buffer[] = [];
  let pings = 0;
  let taker: ((bytes: Buffer) => void) | undefined;
  const counts = { text: 0, binary: 0 };
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    counts[isBinary ? 'binary' : 'text'] += 1;
    if (taker === undefined) pieces.push(data);
    else taker(data);
  });
  socket.on('ping', () => {
    pings += 1;
  });
  return {
    bytes(): Buffer {
      const all = Buffer.concat(pieces);
      pieces = [all];
      return all;
    },
    frames: () => ({ ...counts }),
    pings: () => pings,
    takeOver(listener): void {
      taker = listener;
      const came = Buffer.concat(pieces);
      pieces = [];
      if (came.length > 0) listener(came);
    },
  };
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      // What fails later shows as the close.
      socket.on('error', () => undefined);
      resolve();
    });
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () =>
        reject(
          new ConsoleRefused(response.statusCode ?? 0, response.headers, Buffer.concat(pieces).toString()),
        ),
      );
    });
  });
}
