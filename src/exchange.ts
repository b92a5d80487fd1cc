// One request in progress, from whichever of Node's server events it came, and the one way to answer it ourselves.

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { AgentError } from './errors.ts';

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

/** An error in the engine's own shape, `{"message": …}`; `more` is ours, for programs. */
export function dockerError(
  status: number,
  message: string,
  more: Readonly<Record<string, unknown>> = {},
): Answer {
  return {
    status,
    headers: ['Content-Type', 'application/json'],
    body: `${JSON.stringify({ message, ...more })}\n`,
  };
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

/** The whole body of a request. Rejects with `request-invalid` when it is longer, and with `cancelled` when the client leaves within it. */
export async function readBody({ req }: Exchange, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new AgentError('cancelled', 'read a request body: client left', { cause: error });
  }
  if (bytes <= maxBytes) return Buffer.concat(chunks, bytes);
  // What still comes is dropped, so that the client reads our answer and not a reset.
  req.resume();
  throw new AgentError('request-invalid', `read a request body: over ${maxBytes} bytes`);
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
