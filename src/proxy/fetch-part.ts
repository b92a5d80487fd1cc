// Fetches one whole answer into memory, for merges and lookups: bounded in bytes, in time to its first byte, in silence
// after that, and in the time that it takes as a whole.

import { AgentError } from '../errors.ts';
import type { FetchedPart, FetchLimits, ProxyRequest } from './proxy.ts';
import type { RawDispatch, RawHandler, RawUpstream } from './raw-handler.ts';

/**
 * Idle limits that one answer may take from the request to its end: one that drips would else hold whoever waits for it
 * until it has reached its bytes. 20 s at the default of lists, in which 64 MiB come over 27 Mbit/s.
 */
export const maxIdleLimits = 10;

/** Rejects with `timeout`, `limit-exceeded`, the signal's reason, or the dispatcher's own error. */
export function fetchPart(
  dispatch: RawDispatch,
  request: ProxyRequest,
  headers: readonly string[],
  limits: FetchLimits,
): Promise<FetchedPart> {
  return new Promise((resolve, reject) => {
    const handler = new PartHandler(request, limits, resolve, reject);
    const { method, path, body = null } = request;
    dispatch({ method, path, headers, body }, handler);
  });
}

class PartHandler implements RawHandler {
  readonly #what: string;
  readonly #limits: FetchLimits;
  readonly #resolve: (part: FetchedPart) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onSignal: () => void;
  readonly #chunks: Buffer[] = [];
  readonly #startedMs = performance.now();
  #timer: NodeJS.Timeout;
  #upstream: RawUpstream | undefined;
  #status = 0;
  #rawHeaders: readonly string[] = [];
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

  onStart(upstream: RawUpstream): void {
    this.#upstream = upstream;
    if (this.#settled) upstream.abort(new AgentError('cancelled', `${this.#what}: given up`));
  }

  onHeaders(status: number, rawHeaders: readonly string[]): void {
    this.#status = status;
    this.#rawHeaders = rawHeaders;
    const { idleMs } = this.#limits;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.fail(new AgentError('timeout', `${this.#what}: silent for ${idleMs} ms within its body`)),
      idleMs,
    );
  }

  onWhole(status: number, rawHeaders: readonly string[], _statusText: string, body: string): void {
    if (this.#settle()) this.#resolve({ status, rawHeaders, body: Buffer.from(body, 'latin1') });
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.maxBytes) {
      this.fail(
        new AgentError('limit-exceeded', `${this.#what}: answer over ${this.#limits.maxBytes} bytes`),
      );
      return false;
    }
    // Asked at each piece: where none comes, the idle limit ends it.
    const wholeMs = maxIdleLimits * this.#limits.idleMs;
    if (performance.now() - this.#startedMs > wholeMs) {
      this.fail(new AgentError('timeout', `${this.#what}: not whole in ${wholeMs} ms`));
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
    this.#upstream?.abort(
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
