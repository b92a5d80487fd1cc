// Fetches one whole answer into memory, for merges and lookups: bounded in bytes, in time to its first byte, and in
// silence after that.

import type { Dispatcher } from 'undici';
import { AgentError } from '../errors.ts';
import type { FetchedPart, FetchLimits, ProxyRequest } from './proxy.ts';
import { type RawHandler, toDispatchHandler } from './raw-handler.ts';

/** Rejects with `timeout`, `limit-exceeded`, the signal's reason, or the dispatcher's own error. */
export function fetchPart(
  dispatcher: Dispatcher,
  request: ProxyRequest,
  headers: readonly string[],
  limits: FetchLimits,
): Promise<FetchedPart> {
  return new Promise((resolve, reject) => {
    const handler = new PartHandler(request, limits, resolve, reject);
    try {
      dispatcher.dispatch(
        { method: request.method, path: request.path, headers: [...headers], body: null },
        toDispatchHandler(handler),
      );
    } catch (error) {
      handler.fail(error);
    }
  });
}

class PartHandler implements RawHandler {
  readonly #what: string;
  readonly #limits: FetchLimits;
  readonly #resolve: (part: FetchedPart) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onSignal: () => void;
  readonly #chunks: Buffer[] = [];
  #timer: NodeJS.Timeout;
  #abort: ((reason: Error) => void) | undefined;
  #status = 0;
  #rawHeaders: string[] = [];
  #bytes = 0;
  #settled = false;

  constructor(
    request: ProxyRequest,
    limits: FetchLimits,
    resolve: (part: FetchedPart) => void,
    reject: (error: unknown) => void,
  ) {
    this.#what = `fetch ${request.path}`;
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onSignal = () => this.fail(limits.signal.reason);
    limits.signal.addEventListener('abort', this.#onSignal, { once: true });
    this.#timer = setTimeout(
      () => this.fail(new AgentError('timeout', `${this.#what}: no answer in ${limits.firstByteMs} ms`)),
      limits.firstByteMs,
    );
    if (limits.signal.aborted) this.#onSignal();
  }

  onConnect(abort: (reason: Error) => void): void {
    this.#abort = abort;
    if (this.#settled) abort(new AgentError('cancelled', `${this.#what}: given up`));
  }

  onHeaders(status: number, rawHeaders: Buffer[]): boolean {
    if (status < 200) return true;
    this.#status = status;
    this.#rawHeaders = rawHeaders.map((item) => item.toString('latin1'));
    const { idleMs } = this.#limits;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.fail(new AgentError('timeout', `${this.#what}: silent for ${idleMs} ms within its body`)),
      idleMs,
    );
    return true;
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.maxBytes) {
      this.fail(
        new AgentError('limit-exceeded', `${this.#what}: answer over ${this.#limits.maxBytes} bytes`),
      );
      return false;
    }
    this.#chunks.push(chunk);
    this.#timer.refresh();
    return true;
  }

  onComplete(): void {
    if (!this.#settle()) return;
    const [only] = this.#chunks;
    const body =
      this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks, this.#bytes);
    this.#resolve({ status: this.#status, rawHeaders: this.#rawHeaders, body });
  }

  onError(error: Error): void {
    if (this.#settle()) this.#reject(error);
  }

  fail(reason: unknown): void {
    if (!this.#settle()) return;
    this.#reject(reason);
    this.#abort?.(
      reason instanceof Error ? reason : new AgentError('cancelled', this.#what, { cause: reason }),
    );
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#limits.signal.removeEventListener('abort', this.#onSignal);
    return true;
  }
}
