// One answer of the engine for several requests of the same bytes, dealt out to each handler as if it were its own.

import { AgentError, toAgentError } from '../errors.ts';
import type { Flight } from './lanes.ts';
import type { RawHandler, RawUpstream } from './raw-handler.ts';

/** What is asked together is short: an `/info` has some five kilobytes. */
export const maxSharedAnswerBytes: number = 1024 * 1024;

export interface SharedAnswerNeeds {
  /** Sends the request, whose answer is told to the handler. */
  readonly send: (handler: RawHandler) => void;
  /** Nobody waits for the answer any more. */
  readonly onEmpty: (flight: SharedAnswer) => void;
}

export class SharedAnswer implements Flight, RawHandler {
  readonly #needs: SharedAnswerNeeds;
  readonly #handlers: Set<RawHandler> = new Set();
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #head:
    | { readonly status: number; readonly rawHeaders: readonly string[]; readonly text: string }
    | undefined;
  #upstream: RawUpstream | undefined;
  #ended: (() => void) | undefined;

  constructor(needs: SharedAnswerNeeds) {
    this.#needs = needs;
  }

  enter(handler: RawHandler): void {
    this.#handlers.add(handler);
    handler.onStart(new Seat(this, handler));
  }

  leave(handler: RawHandler, reason: Error): void {
    if (!this.#handlers.delete(handler)) return;
    if (this.#handlers.size === 0) {
      this.#needs.onEmpty(this);
      this.#upstream?.abort(reason);
    }
    handler.onError(reason);
  }

  launch(ended: () => void): void {
    if (this.#handlers.size === 0) {
      ended();
      return;
    }
    this.#ended = ended;
    try {
      this.#needs.send(this);
    } catch (error) {
      this.onError(toAgentError(error, 'unavailable', 'ask engine'));
    }
  }

  onStart(upstream: RawUpstream): void {
    this.#upstream = upstream;
    if (this.#handlers.size === 0) upstream.abort(new AgentError('cancelled', 'ask engine: all have left'));
  }

  onHeaders(status: number, rawHeaders: readonly string[], text: string): void {
    this.#head = { status, rawHeaders, text };
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > maxSharedAnswerBytes) {
      this.#upstream?.abort(new AgentError('limit-exceeded', 'ask engine: an answer to share is too long'));
    } else this.#chunks.push(chunk);
    return true;
  }

  onComplete(rawTrailers: readonly string[]): void {
    const head = this.#head;
    const body = Buffer.concat(this.#chunks, this.#bytes);
    this.#deal((handler) => {
      if (head !== undefined) handler.onHeaders(head.status, head.rawHeaders, head.text);
      if (body.length > 0) handler.onData(body);
      handler.onComplete(rawTrailers);
    });
  }

  onWhole(status: number, rawHeaders: readonly string[], text: string, body: string): void {
    this.#deal((handler) => handler.onWhole(status, rawHeaders, text, body));
  }

  onError(error: Error): void {
    this.#deal((handler) => handler.onError(error));
  }

  /** Those who come from now on are in another flight, which may start at once: its place is given up first. */
  #deal(tell: (handler: RawHandler) => void): void {
    const handlers = [...this.#handlers];
    this.#handlers.clear();
    const ended = this.#ended;
    this.#ended = undefined;
    ended?.();
    for (const handler of handlers) tellAlone(handler, tell);
  }
}

/** One that fails must not take the answer from those behind it. */
function tellAlone(handler: RawHandler, tell: (handler: RawHandler) => void): void {
  try {
    tell(handler);
  } catch (error) {
    handler.onError(toAgentError(error, 'unavailable', 'pass an answer on'));
  }
}

/** One handler's hold on the shared call. */
class Seat implements RawUpstream {
  readonly #flight: SharedAnswer;
  readonly #handler: RawHandler;

  constructor(flight: SharedAnswer, handler: RawHandler) {
    this.#flight = flight;
    this.#handler = handler;
  }

  abort(reason: Error): void {
    this.#flight.leave(this.#handler, reason);
  }

  /** The answer is in memory already. */
  resume(): void {}
}
