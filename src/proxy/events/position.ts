// Where a node's stream is, so that a later one can go on from there: what to ask the engine for, and which of what it
// then sends is new. Does not read any clock: times are the engine's own.

import type { EngineEvent } from './event.ts';
import { SeenEvents } from './seen.ts';

/**
 * How far before the last event a stream is resumed. An engine's search of its history ends at the first event that is
 * too old, and those of the swarm carry another clock's time.
 */
const overlapNs = 5_000_000_000n;
/** The dates of answers are whole seconds. */
const dateStepNs = 1_000_000_000n;

/** What is wanted of before the stream: what the client asks for, or nothing older than a time. */
export type Beginning =
  | { readonly kind: 'history'; readonly sinceNs: bigint | undefined }
  /** Undefined for the moment at which the engine first answers. */
  | { readonly kind: 'live'; readonly fromNs: bigint | undefined };

export class Position {
  readonly #seen = new SeenEvents();
  #beginning: Beginning;
  #answers = 0;
  #firstNs: bigint | undefined;
  #lastNs: bigint | undefined;

  constructor(beginning: Beginning) {
    this.#beginning = beginning;
  }

  /** What to ask for; undefined for the client's own question. */
  resumeNs(): bigint | undefined {
    const beginning = this.#beginning;
    const lowerNs = beginning.kind === 'history' ? beginning.sinceNs : beginning.fromNs;
    if (this.#lastNs === undefined) return beginning.kind === 'history' ? undefined : lowerNs;
    const fromNs = this.#lastNs - overlapNs;
    return lowerNs !== undefined && lowerNs > fromNs ? lowerNs : fromNs;
  }

  /** The engine answered at this time of its own. */
  begin(ns: bigint): void {
    this.#answers += 1;
    if (this.#beginning.kind === 'live')
      this.#beginning = { kind: 'live', fromNs: this.#beginning.fromNs ?? ns };
  }

  /** Whether it was not here before. Only events of the node itself move the position: they carry its clock's time. */
  accept(event: EngineEvent): boolean {
    if (this.#isOlder(event) || !this.#seen.add(event)) return false;
    if (!event.ofSwarm && event.timeNs !== undefined) {
      this.#firstNs ??= event.timeNs;
      this.#lastNs = event.timeNs;
      this.#seen.forgetBefore(event.timeNs - overlapNs);
    }
    return true;
  }

  /** From before the stream, which began within a second of which more is not known: a repeated history may go back further. */
  #isOlder({ timeNs }: EngineEvent): boolean {
    const beginning = this.#beginning;
    if (this.#answers < 2 || beginning.kind !== 'live' || beginning.fromNs === undefined) return false;
    if (timeNs === undefined || this.#firstNs === undefined) return false;
    return timeNs >= beginning.fromNs && timeNs < beginning.fromNs + dateStepNs && timeNs < this.#firstNs;
  }
}
