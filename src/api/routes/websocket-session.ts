// One open console: bytes of the engine leave as text frames, frames of the client enter as bytes, each direction held
// back by the other's pace. Whichever side ends takes the other with it.

import type { Duplex } from 'node:stream';
import type WebSocket from 'ws';
import { createUtf8Stream } from './websocket-utf8.ts';

export interface SessionOptions {
  readonly pingEveryMs: number;
  /** Aborted when the agent stops: nobody goes on to type then, and who watches learns why it ends. */
  readonly stopping: AbortSignal;
}

/** A paste of this size still passes; beyond, the console is closed with 1009. */
export const maxConsoleMessageBytes: number = 4 * 1024 * 1024;
/** Each way, for a side that does not read; then the other has to wait. */
export const maxConsoleBufferedBytes: number = 256 * 1024;

/** RFC 6455 section 7.4.1. */
const normalClosure = 1000;
const goingAway = 1001;
const internalError = 1011;

export type ConsoleEnd = 'engine-ended' | 'engine-lost' | 'client-left' | 'agent-stopped';

/** Resolves with why it ended, when nothing of it is left. */
export function runSession(socket: WebSocket, engine: Duplex, options: SessionOptions): Promise<ConsoleEnd> {
  return new Promise((resolve) => {
    let end: ConsoleEnd | undefined;
    const ping = setInterval(() => {
      // Behind output that a client does not read, a ping says nothing and only piles up.
      if (socket.readyState === socket.OPEN && socket.bufferedAmount === 0) socket.ping();
    }, options.pingEveryMs);

    const closeWith = (why: ConsoleEnd, code: number): void => {
      if (end !== undefined) return;
      end = why;
      // Output in flight leaves first: frames are written in their order.
      socket.resume();
      socket.close(code);
    };
    const onStopping = (): void => closeWith('agent-stopped', goingAway);
    socket.once('close', () => {
      clearInterval(ping);
      options.stopping.removeEventListener('abort', onStopping);
      engine.destroy();
      resolve(end ?? 'client-left');
    });
    // A frame that breaks the protocol, or is too large: `ws` closes with the proper code by itself.
    socket.on('error', () => undefined);

    passInput(socket, engine);
    passOutput(socket, engine);
    engine.once('end', () => closeWith('engine-ended', normalClosure));
    engine.once('close', () => closeWith('engine-lost', internalError));
    if (engine.destroyed) closeWith('engine-lost', internalError);
    options.stopping.addEventListener('abort', onStopping, { once: true });
    if (options.stopping.aborted) onStopping();
    engine.resume();
  });
}

function passInput(socket: WebSocket, engine: Duplex): void {
  // Buffers, as `binaryType` is by default; a text frame's are its UTF-8.
  socket.on('message', (data: Buffer) => {
    if (data.length > 0 && engine.writable) engine.write(data);
    // Not at once: while the client is not read, nobody sees that it leaves.
    if (engine.writableLength > maxConsoleBufferedBytes) socket.pause();
  });
  engine.on('drain', () => socket.resume());
  // Nobody reads what the engine does not want any more, but the closing frame must still be seen.
  engine.once('close', () => socket.resume());
}

function passOutput(socket: WebSocket, engine: Duplex): void {
  const utf8 = createUtf8Stream();
  const goOn = (): void => {
    if (engine.isPaused() && socket.bufferedAmount <= maxConsoleBufferedBytes / 2) engine.resume();
  };
  engine.on('data', (chunk: Buffer) => {
    const text = utf8.push(chunk);
    if (text.length === 0 || socket.readyState !== socket.OPEN) return;
    socket.send(text, { binary: false }, goOn);
    if (socket.bufferedAmount > maxConsoleBufferedBytes) engine.pause();
  });
}
