// An HTTP/1.1 client for one unix socket and for requests without a body: one request at a time on each connection, which
// is kept for the next. undici takes some 40 µs of processor time for what takes a fraction of that here
// (docs/adr/0014); bodies, TLS and long transfers are left to undici.

import { AgentError } from '../errors.ts';
import { createLanes, type Lanes, laneDefaults } from './lanes.ts';
import type { RawDispatch, RawHandler, RawRequest } from './raw-handler.ts';
import { SharedAnswer } from './shared-answer.ts';
import { SocketConnection, type SocketRequest } from './socket-connection.ts';

export interface SocketClient {
  /** Only for requests without a body. */
  readonly dispatch: RawDispatch;
  /** Destroys every connection; nothing is sent any more. */
  close(): void;
}

/** Connections kept for later; what a burst needed beyond them is closed behind it. */
export const maxIdleConnections: number = 256;
const defaultSweepMs = 60_000;

export interface SocketClientOptions {
  readonly socketPath: string;
  /** What nobody needed for so long is closed, milliseconds; dockerd itself never does it. Default: a minute. */
  readonly sweepMs?: number;
  /** A question whose answer serves all who ask it in the same bytes while it is on its way. Default: none is. */
  readonly isShared?: (request: RawRequest) => boolean;
}

export function createSocketClient(options: SocketClientOptions): SocketClient {
  const { socketPath, sweepMs = defaultSweepMs, isShared = () => false } = options;
  const lanes: Lanes<SharedAnswer> = createLanes(laneDefaults);
  const all = new Set<SocketConnection>();
  // Taken from the end, so that those at the beginning are the ones that nobody needs.
  const idle: SocketConnection[] = [];
  /** The fewest that were idle since the last sweep: so many were superfluous all the time. */
  let superfluous = 0;
  let closed = false;

  const connect = (): SocketConnection => {
    const connection = new SocketConnection(owner, socketPath);
    all.add(connection);
    return connection;
  };

  const take = (): SocketConnection => {
    const connection = idle.pop() ?? connect();
    if (idle.length < superfluous) superfluous = idle.length;
    return connection;
  };

  const owner = {
    onIdle(connection: SocketConnection): void {
      if (idle.length < maxIdleConnections) idle.push(connection);
      else connection.destroy(unneeded);
    },
    onClosed(connection: SocketConnection): void {
      all.delete(connection);
      const at = idle.indexOf(connection);
      if (at !== -1) idle.splice(at, 1);
      superfluous = Math.min(superfluous, idle.length);
    },
    onStale: (request: SocketRequest): void => connect().send(request),
  };

  const sweep = setInterval(() => {
    for (const connection of idle.slice(0, superfluous)) connection.destroy(unneeded);
    superfluous = idle.length;
  }, sweepMs).unref();

  const send = (method: string, text: string, handler: RawHandler): void => {
    if (closed) handler.onError(new AgentError('unavailable', 'ask engine: the client was closed'));
    else take().send({ method, text, handler });
  };

  const share = (method: string, text: string, handler: RawHandler): void => {
    const make = (): SharedAnswer =>
      new SharedAnswer({
        send: (flight) => send(method, text, flight),
        onEmpty: (flight) => lanes.cancel(text, flight),
      });
    lanes.join(text, make, (flight) => flight.enter(handler));
  };

  return {
    dispatch(request, handler): void {
      try {
        const text = requestText(request);
        if (isShared(request)) share(request.method, text, handler);
        else send(request.method, text, handler);
      } catch (error) {
        handler.onError(error instanceof Error ? error : new Error(String(error)));
      }
    },
    close(): void {
      closed = true;
      clearInterval(sweep);
      const reason = new AgentError('unavailable', 'ask engine: the client was closed');
      for (const connection of [...all]) connection.destroy(reason);
    },
  };
}

const unneeded = new AgentError('unavailable', 'keep connection: nobody needs it');

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const target = /^\/[\x21-\x7e]*$/;
const value = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What says that a body follows: there is none, and the engine would take the next request for it (attack A-11). */
const framing = new Set(['content-length', 'transfer-encoding']);

/** Whoever checked the request before: nothing in it can end its line here. Throws `request-invalid`. */
function requestText({ method, path, headers }: RawRequest): string {
  if (!token.test(method) || !target.test(path)) throw invalid('method or path');
  let lines = '';
  let hasHost = false;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (isFraming(name)) continue;
    hasHost ||= name.length === 4 && name.toLowerCase() === 'host';
    lines += headerLine(name, headers[i + 1] ?? '');
  }
  if (!hasHost) lines += 'Host: docker\r\n';
  if (method !== 'GET' && method !== 'HEAD') lines += 'Content-Length: 0\r\n';
  return `${method} ${path} HTTP/1.1\r\n${lines}\r\n`;
}

function isFraming(name: string): boolean {
  return (name.length === 14 || name.length === 17) && framing.has(name.toLowerCase());
}

function headerLine(name: string, content: string): string {
  if (!token.test(name) || !value.test(content)) throw invalid('header');
  return `${name}: ${content}\r\n`;
}

function invalid(what: string): AgentError {
  return new AgentError('request-invalid', `ask engine: malformed ${what}`);
}
