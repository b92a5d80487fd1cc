// One exchange with an upstream in its rawest form: headers as flat lists of what came, no object per answer. Two kinds
// of client speak it: undici's pools, through the adapter below, and socket-client.ts.

import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  /** Flat name, value list. */
  readonly headers: readonly string[];
  readonly body: Readable | Buffer | null;
}

export interface RawUpstream {
  abort(reason: Error): void;
  /** After a piece of the body that was not accepted. */
  resume(): void;
}

/** Ends with `onComplete`, `onWhole` or `onError`; nothing follows them. */
export interface RawHandler {
  /** May come long after the dispatch: a request can wait for a connection first. */
  onStart(upstream: RawUpstream): void;
  /** Not called for interim answers. */
  onHeaders(status: number, rawHeaders: readonly string[], statusText: string): void;
  /** False pauses the body until `resume`. */
  onData(chunk: Buffer): boolean;
  onComplete(rawTrailers: readonly string[]): void;
  /** A short answer of known length that came in one piece, in place of the three above; its body in latin-1. */
  onWhole(status: number, rawHeaders: readonly string[], statusText: string, body: string): void;
  onError(error: Error): void;
}

/** Never throws: what goes wrong is told to the handler. */
export type RawDispatch = (request: RawRequest, handler: RawHandler) => void;

export function undiciDispatch(dispatcher: Dispatcher): RawDispatch {
  return ({ method, path, headers, body }, handler) => {
    try {
      // undici only reads the list; its typings do not say so.
      dispatcher.dispatch({ method, path, headers: headers as string[], body }, toDispatchHandler(handler));
    } catch (error) {
      handler.onError(error instanceof Error ? error : new Error(String(error)));
    }
  };
}

function toDispatchHandler(raw: RawHandler): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller): void {
      raw.onStart(controller);
    },
    onResponseStart(controller, status, _headers, statusText = ''): void {
      if (status >= 200) raw.onHeaders(status, textsOf(controller.rawHeaders), statusText);
    },
    onResponseData(controller, chunk): void {
      if (!raw.onData(chunk)) controller.pause();
    },
    onResponseEnd(controller): void {
      raw.onComplete(textsOf(controller.rawTrailers));
    },
    onResponseError(_controller, error): void {
      raw.onError(error);
    },
  };
}

/** Buffers in HTTP/1.1, the only protocol that is spoken here; the typings also know those of HTTP/2. */
function textsOf(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  return Array.isArray(raw) ? (raw as Buffer[]).map((item) => item.toString('latin1')) : [];
}
