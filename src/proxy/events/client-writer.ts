// Writes events to a client, and tells when it reads too slowly: then the engines are not read either, and do with it as
// with any slow reader. Nothing is dropped here.

import type { ServerResponse } from 'node:http';
import type { EventForm } from './form.ts';

/** Waiting for a client; beyond it nothing more is read for it, but for what each engine's stream has already brought. */
export const maxClientBufferBytes: number = 1024 * 1024;

export interface ClientWriter {
  write(event: Buffer): void;
  /** Undefined where there is room; else resolves when there is, or when the client has left. */
  room(): Promise<void> | undefined;
}

export function createClientWriter(res: ServerResponse, { before }: EventForm): ClientWriter {
  const opening = Buffer.from(before);
  const ending = Buffer.from('\n');
  let waiting: Promise<void> | undefined;

  const untilDrained = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      res.off('drain', done);
      res.off('close', done);
      waiting = undefined;
      resolve();
    };
    res.once('drain', done);
    res.once('close', done);
    return promise;
  };

  return {
    write(event): void {
      if (!res.destroyed) res.write(Buffer.concat([opening, event, ending]));
    },
    room(): Promise<void> | undefined {
      if (res.destroyed || res.writableLength < maxClientBufferBytes) return undefined;
      waiting ??= untilDrained();
      return waiting;
    },
  };
}
