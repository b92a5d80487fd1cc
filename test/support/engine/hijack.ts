// The hijacked connections of the fake engine: exec and attach as byte pipes to small built-in commands.
// Each side's end is passed on by itself, as the engine does it.

import type { Exchange } from './exchange.ts';
import { engineHeaders, send } from './exchange.ts';

/** What runs behind an exec or an attach. The first word of the exec's `Cmd`. */
export type Command =
  /** Gives back what comes, and says `EOF <count>` when the client has half-closed. */
  | 'cat'
  /** Says `bye`, ends its own side, and still reads what comes until the client ends. */
  | 'close-first'
  /** Writes for ever, as fast as it is read. */
  | 'flood'
  /** Sends a frame header that promises 2^32-1 bytes, a few of them, and gives back what comes after it. */
  | 'huge-frame'
  /** Ends at once after a line. */
  | 'hello';

/** The bytes that the engine sends in the same piece as its head; a proxy must not lose them. */
export const greeting = 'ready\n';
export const hugeFrame: Buffer = Buffer.concat([
  Buffer.from([2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from('partial frame'),
]);
const floodPiece = Buffer.alloc(65_536, 'x');

export interface HijackOptions {
  readonly command: Command;
  readonly tty: boolean;
}

export async function serveHijack(exchange: Exchange, { command, tty }: HijackOptions): Promise<void> {
  const upgrade = exchange.head.headers.get('upgrade');
  // The body of the request (exec start has one) ends before the raw stream begins.
  for await (const _ of exchange.body());
  const { socket } = exchange.hijack();
  const type = `application/vnd.docker.${tty ? 'raw' : 'multiplexed'}-stream`;
  const common = `Content-Type: ${type}\r\n`;
  const head =
    upgrade === undefined
      ? `HTTP/1.1 200 OK\r\n${common}\r\n`
      : `HTTP/1.1 101 UPGRADED\r\n${common}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n`;
  await send(socket, head + greeting);
  await commands[command](exchange);
}

/** BuildKit's `/grpc` and `/session`: the connection changes to HTTP/2, which is not looked into but given back. */
export async function serveH2c(exchange: Exchange): Promise<void> {
  const upgrade = exchange.head.headers.get('upgrade')?.toLowerCase();
  if (upgrade !== 'h2c') {
    await exchange.answer(400, { message: 'no upgrade to h2c' });
    return;
  }
  const { socket } = exchange.hijack();
  const lines = Object.entries(engineHeaders(exchange.facts)).map(([name, value]) => `${name}: ${value}\r\n`);
  await send(
    socket,
    `HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  );
  await echo(exchange);
  socket.end();
}

const commands: Readonly<Record<Command, (exchange: Exchange) => Promise<void>>> = {
  async cat(exchange) {
    await echo(exchange);
    await send(exchange.socket, `EOF ${exchange.received.hijackedBytes}\n`);
    exchange.socket.end();
  },
  async 'close-first'(exchange) {
    await send(exchange.socket, 'bye\n');
    exchange.socket.end();
    await drain(exchange);
  },
  async flood(exchange) {
    for (;;) await send(exchange.socket, floodPiece);
  },
  async 'huge-frame'(exchange) {
    await send(exchange.socket, hugeFrame);
    await echo(exchange);
    exchange.socket.end();
  },
  async hello(exchange) {
    await send(exchange.socket, 'hello\n');
    exchange.socket.end();
    await drain(exchange);
  },
};

async function echo(exchange: Exchange): Promise<void> {
  for await (const piece of hijackedPieces(exchange)) await send(exchange.socket, piece);
}

async function drain(exchange: Exchange): Promise<void> {
  for await (const _ of hijackedPieces(exchange));
}

async function* hijackedPieces({ reader, received }: Exchange): AsyncGenerator<Buffer> {
  for (;;) {
    const piece = await reader.some(hijackIdleMs);
    if (piece === undefined) break;
    received.hijackedBytes += piece.length;
    yield piece;
  }
  received.halfClosed = reader.failure() === undefined;
}

/** Longer than any test waits: an idle console is not an error at the engine. */
const hijackIdleMs = 600_000;
