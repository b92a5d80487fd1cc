// The last poll answers by their ETag, so that an unchanged one costs Portainer a 304 and no body.
// Pure apart from its own memory.

import type { PollAnswer } from './edge.ts';

/** As many as the original keeps: answers alternate between a few (idle, tunnel wanted). */
const maxCachedAnswers = 8;
/** Ours are 8 hex digits; a longer one would only be sent back and forth. */
const maxEtagChars = 64;

export interface PollCache {
  /** The value of `If-None-Match`: oldest first, joined by commas without spaces or quotes; empty at first. */
  ifNoneMatch(): string;
  keep(etag: string, answer: PollAnswer): void;
  /** Undefined: never seen, or pushed out. */
  find(etag: string): PollAnswer | undefined;
  clear(): void;
}

export function createPollCache(): PollCache {
  // A Map keeps the order of insertion.
  const answers = new Map<string, PollAnswer>();
  return {
    ifNoneMatch: () => [...answers.keys()].join(','),
    keep(etag, answer) {
      // One with a comma or a space could not be told from two.
      if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(etag) || etag.length > maxEtagChars) return;
      answers.delete(etag);
      answers.set(etag, answer);
      const [oldest] = answers.keys();
      if (answers.size > maxCachedAnswers && oldest !== undefined) answers.delete(oldest);
    },
    find: (etag) => answers.get(etag),
    clear: () => answers.clear(),
  };
}
