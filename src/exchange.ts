// One request in progress, from whichever of Node's server events it came, and the one way to answer it ourselves.

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

export type Exchange =
  | { readonly kind: 'request'; readonly req: IncomingMessage; readonly res: ServerResponse }
  /** A hijack: `head` and then `socket` hold everything behind the headers, a request body included. */
  | {
      readonly kind: 'upgrade';
      readonly req: IncomingMessage;
      readonly socket: Duplex;
      readonly head: Buffer;
    };

export interface Answer {
  readonly status: number;
  /** Flat name, value list; length and connection headers are added. */
  readonly headers: readonly string[];
  readonly body: string | Buffer;
}

/** Sends a whole answer of our own. On a hijack the connection ends behind it; does nothing if the client has left. */
export function answer(exchange: Exchange, { status, headers, body }: Answer): void {
  const length = Buffer.byteLength(body);
  if (exchange.kind === 'request') {
    const { req, res } = exchange;
    if (res.headersSent || res.destroyed) return;
    const all = [...headers];
    if (status !== 204 && status !== 304) all.push('Content-Length', String(length));
    res.writeHead(status, all);
    res.end(req.method === 'HEAD' ? undefined : body);
    return;
  }
  const { socket } = exchange;
  if (socket.destroyed || socket.writableEnded) return;
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.write(`${text}Content-Length: ${length}\r\nConnection: close\r\n\r\n`);
  // The client may still be sending; what comes is dropped, so that it reads our answer and not a reset. One that never
  // ends its side would hold the connection for ever, though nobody has admitted it (attack A-49).
  socket.resume();
  socket.end(body);
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
}

/** How long a client that was refused a hijack may take to end its side. */
const lingerMs = 2_000;

/** Lets a client that asked first (`Expect: 100-continue`) send its body: only once the gate has admitted the request. */
export function acceptBody(exchange: Exchange): void {
  if (exchange.kind === 'request' && exchange.req.headers.expect?.toLowerCase() === '100-continue')
    exchange.res.writeContinue();
}

/** True when nobody is there to be answered any more. */
export function hasLeft(exchange: Exchange): boolean {
  return exchange.kind === 'request' ? exchange.res.destroyed : exchange.socket.destroyed;
}

/** Aborted when the client leaves before it was answered. */
export function leaveSignal(exchange: Exchange): AbortSignal {
  const controller = new AbortController();
  const stream = exchange.kind === 'request' ? exchange.res : exchange.socket;
  stream.once('close', () => {
    if (!stream.writableFinished) controller.abort();
  });
  return controller.signal;
}
