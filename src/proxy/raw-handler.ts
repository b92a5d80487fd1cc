// The raw form of an undici exchange: headers as the bytes that came, no object per answer. undici 8 takes handlers in
// its controller form only, which keeps the raw headers beside the parsed ones; this passes them through.

import type { Dispatcher } from 'undici';

export interface RawHandler {
  /** May come long after the dispatch: a request can wait for a connection first. */
  onConnect(abort: (reason: Error) => void): void;
  /** Also for interim answers. False pauses the body until `resume`. */
  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void, statusText: string): boolean;
  onData(chunk: Buffer): boolean;
  onComplete(rawTrailers: Buffer[] | null): void;
  onError(error: Error): void;
}

export function toDispatchHandler(raw: RawHandler): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller): void {
      raw.onConnect((reason) => controller.abort(reason));
    },
    onResponseStart(controller, status, _headers, statusText = ''): void {
      const goOn = raw.onHeaders(
        status,
        buffersOf(controller.rawHeaders),
        () => controller.resume(),
        statusText,
      );
      if (!goOn) controller.pause();
    },
    onResponseData(controller, chunk): void {
      if (!raw.onData(chunk)) controller.pause();
    },
    onResponseEnd(controller): void {
      raw.onComplete(buffersOf(controller.rawTrailers));
    },
    onResponseError(_controller, error): void {
      raw.onError(error);
    },
  };
}

/** Buffers in HTTP/1.1, the only protocol that is spoken here; the typings also know those of HTTP/2. */
function buffersOf(raw: Dispatcher.DispatchController['rawHeaders']): Buffer[] {
  return Array.isArray(raw) ? (raw as Buffer[]) : [];
}
