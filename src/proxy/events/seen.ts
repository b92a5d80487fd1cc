// Remembers what was passed on, so that an engine that repeats its history, or a second manager that tells the same, is
// recognised. Bounded by number: an engine can repeat no more than it remembers, however late.

import type { EngineEvent } from './event.ts';

/** Events remembered of one engine, and of the swarm: an engine repeats 256 at most. */
export const maxSeenEvents = 512;

export class SeenEvents {
  /** With their times, the oldest to come first. */
  readonly #times = new Map<string, bigint>();

  /** True the first time. */
  add(event: EngineEvent): boolean {
    const key = keyOf(event);
    if (this.#times.has(key)) return false;
    if (this.#times.size >= maxSeenEvents) {
      const [oldest] = this.#times.keys();
      if (oldest !== undefined) this.#times.delete(oldest);
    }
    this.#times.set(key, event.timeNs ?? 0n);
    return true;
  }

  /** Those from before this time cannot be repeated any more. */
  forgetBefore(ns: bigint): void {
    for (const [key, timeNs] of this.#times) {
      if (timeNs >= ns) return;
      this.#times.delete(key);
    }
  }

  get size(): number {
    return this.#times.size;
  }
}

/**
 * Managers agree on the time of what happened to the swarm, which is that of its store. A removal has none there, and each
 * takes its own; but an id is removed once.
 */
function keyOf({ type, action, actorId, ofSwarm, timeNs }: EngineEvent): string {
  const time = ofSwarm && action === 'remove' ? '' : timeNs;
  return JSON.stringify([type, action, actorId, String(time)]);
}
