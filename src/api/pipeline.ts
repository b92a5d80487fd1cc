// What a connection still owes. HTTP lets a client send requests before the answers to those ahead of them (pipelining);
// nothing that speaks to Docker does, and all of them would run at once. So a few are served, one too many is refused
// behind the answers ahead of it, and no hijack takes a connection on which an answer has yet to be written.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { AgentError } from '../errors.ts';

/** Requests of one connection that are served at the same time; the next one is refused, and ends the connection. */
export const maxPipelined = 16;

export interface Pipeline {
  /** Counts an answer until it has left, or its connection has. */
  owe(req: IncomingMessage, res: ServerResponse): void;
  /** Why this connection cannot take its next request: `limit-exceeded`, or `request-invalid` for a hijack. */
  refusalOf(socket: Duplex, isHijack: boolean): AgentError | undefined;
  /** Takes the connection out of HTTP: drops what it still sends, lets the answers ahead leave, and then calls `refuse`. */
  close(socket: Duplex, refuse: () => void): void;
}

/** What a client that has closed its side is still answered for. */
const halfClosedMs = 1_000;

export function createPipeline(): Pipeline {
  const debts = new WeakMap<Duplex, Debt>();

  // One function for all: it is added to each answer.
  function onClose(this: ServerResponse): void {
    debts.get(this.req.socket)?.settle(this);
  }

  return {
    owe(req, res): void {
      let debt = debts.get(req.socket);
      if (debt === undefined) {
        debt = new Debt();
        debts.set(req.socket, debt);
      }
      debt.answers.push(res);
      res.on('close', onClose);
    },
    refusalOf(socket, isHijack): AgentError | undefined {
      const debt = debts.get(socket);
      if (debt === undefined || debt.answers.length === 0) return undefined;
      if (debt.answers.length >= maxPipelined)
        return new AgentError('limit-exceeded', `more than ${maxPipelined} requests wait on one connection`);
      if (!isHijack || debt.isWritten()) return undefined;
      return new AgentError(
        'request-invalid',
        'hijack: an answer ahead of it on its connection is unfinished',
      );
    },
    close(socket, refuse): void {
      debts.get(socket)?.close(socket, refuse);
    },
  };
}

class Debt {
  /** In the order of their requests; only the first is written to the connection. */
  readonly answers: ServerResponse[] = [];
  #onSettled: (() => void) | undefined;

  settle(res: ServerResponse): void {
    const at = this.answers.indexOf(res);
    if (at !== -1) this.answers.splice(at, 1);
    if (this.answers.length === 0) this.#onSettled?.();
  }

  /** Whether nothing is to come of an answer; a client may have read it before we are told that it has left. */
  isWritten(): boolean {
    return this.answers.length === 1 && this.answers[0]?.writableEnded === true;
  }

  close(socket: Duplex, refuse: () => void): void {
    this.#onSettled = (): void => {
      if (!socket.destroyed) refuse();
    };
    // Node has let go of the connection: nobody else tells the answers ahead that there is room, or that it has ended.
    socket.on('drain', () => {
      const [first] = this.answers;
      if (first?.writableNeedDrain === true) first.emit('drain');
    });
    socket.once('close', () => {
      for (const res of this.answers) res.destroy();
    });
    socket.once('end', () => {
      const timer = setTimeout(() => socket.destroy(), halfClosedMs);
      socket.once('close', () => clearTimeout(timer));
    });
    socket.resume();
  }
}
