// Opens an answer whose body is read here as it comes, for as long as it lasts: bounded in time to its head only.
// What is not read is not taken from the connection, beyond the buffer of one stream.

import { Readable } from 'node:stream';
import { AgentError } from '../errors.ts';
import type { OpenAnswer, OpenLimits, ProxyRequest } from './proxy.ts';
import type { RawDispatch, RawHandler, RawUpstream } from './raw-handler.ts';

/**
 * Rejects with `timeout`, the signal's reason, or the dispatcher's own error. The body fails with the last two, and who
 * destroys it ends the exchange.
 */
export function openStream(
  dispatch: RawDispatch,
  request: ProxyRequest,
  headers: readonly string[],
  limits: OpenLimits,
): Promise<OpenAnswer> {
  return new Promise((resolve, reject) => {
    const handler = new OpenHandler(request, limits, resolve, reject);
    dispatch({ method: request.method, path: request.path, headers, body: null }, handler);
  });
}

type State =
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'open'; readonly body: Readable }
  | { readonly kind: 'ended' };

class OpenHandler implements RawHandler {
  readonly #what: string;
  readonly #signal: AbortSignal;
  readonly #resolve: (answer: OpenAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onSignal: () => void;
  #state: State;
  #upstream: RawUpstream | undefined;

  constructor(
    request: ProxyRequest,
    { signal, firstByteMs }: OpenLimits,
    resolve: (answer: OpenAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#what = `open ${request.path}`;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onSignal = () => this.fail(signal.reason);
    const onLate = (): void =>
      this.fail(new AgentError('timeout', `${this.#what}: no answer in ${firstByteMs} ms`));
    this.#state = { kind: 'waiting', timer: setTimeout(onLate, firstByteMs) };
    signal.addEventListener('abort', this.#onSignal, { once: true });
    if (signal.aborted) this.#onSignal();
  }

  onStart(upstream: RawUpstream): void {
    this.#upstream = upstream;
    if (this.#state.kind === 'ended') upstream.abort(new AgentError('cancelled', `${this.#what}: given up`));
  }

  onHeaders(status: number, rawHeaders: readonly string[]): void {
    if (this.#state.kind !== 'waiting') return;
    clearTimeout(this.#state.timer);
    const body = new Readable({
      read: () => this.#upstream?.resume(),
      destroy: (error, callback) => {
        const abandoned = this.#end().kind === 'open';
        if (abandoned)
          this.#upstream?.abort(error ?? new AgentError('cancelled', `${this.#what}: not read to its end`));
        callback(error);
      },
    });
    this.#state = { kind: 'open', body };
    this.#resolve({ status, rawHeaders, body });
  }

  onWhole(status: number, rawHeaders: readonly string[], _statusText: string, body: string): void {
    this.onHeaders(status, rawHeaders);
    if (body !== '') this.onData(Buffer.from(body, 'latin1'));
    this.onComplete();
  }

  onData(chunk: Buffer): boolean {
    return this.#state.kind !== 'open' || this.#state.body.push(chunk);
  }

  onComplete(): void {
    const state = this.#end();
    if (state.kind === 'open') state.body.push(null);
  }

  onError(error: Error): void {
    this.#settle(error);
  }

  fail(reason: unknown): void {
    this.#settle(reason);
    this.#upstream?.abort(toError(reason, this.#what));
  }

  #settle(reason: unknown): void {
    const state = this.#end();
    if (state.kind === 'waiting') this.#reject(reason);
    else if (state.kind === 'open') state.body.destroy(toError(reason, this.#what));
  }

  /** Returns what it was until now. */
  #end(): State {
    const before = this.#state;
    if (before.kind === 'waiting') clearTimeout(before.timer);
    this.#state = { kind: 'ended' };
    this.#signal.removeEventListener('abort', this.#onSignal);
    return before;
  }
}

function toError(reason: unknown, what: string): Error {
  return reason instanceof Error ? reason : new AgentError('cancelled', what, { cause: reason });
}
