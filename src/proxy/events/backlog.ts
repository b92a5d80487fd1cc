// Holds back what comes first of each node until the histories of all are there, or are not waited for any longer, and
// then gives it out in the order of time. Bounded in time and in bytes; afterwards nothing is ever held.

import type { StartTimer } from '../timer.ts';
import type { EngineEvent } from './event.ts';

/** Held of all nodes together; beyond it, what is there goes out. 256 events are some 128 KiB. */
export const maxBacklogBytes: number = 16 * 1024 * 1024;

export interface BacklogNeeds<Node> {
  readonly startTimer: StartTimer;
  readonly emit: (node: Node, event: EngineEvent) => void;
}

export interface BacklogOptions {
  /** To the end of it all. */
  readonly deadlineMs: number;
  /**
   * An engine sends its history in one go: so long after the last of it there is no more. Undefined where the stream
   * ends with its history, so that it need not be guessed.
   */
  readonly quietMs: number | undefined;
}

interface Source<Node> {
  readonly node: Node;
  readonly events: EngineEvent[];
  ended: boolean;
  cancelQuiet: () => void;
}

export class Backlog<Node> {
  readonly #needs: BacklogNeeds<Node>;
  readonly #options: BacklogOptions;
  /** Undefined when it is over. */
  #sources: Map<Node, Source<Node>> | undefined;
  #bytes = 0;
  #cancelDeadline: () => void = () => undefined;

  constructor(needs: BacklogNeeds<Node>, options: BacklogOptions) {
    this.#needs = needs;
    this.#options = options;
  }

  /** From here on the backlogs of these nodes are waited for. */
  begin(nodes: readonly Node[]): void {
    this.#sources = new Map(
      nodes.map((node) => [node, { node, events: [], ended: false, cancelQuiet: () => undefined }]),
    );
    this.#cancelDeadline = this.#needs.startTimer(this.#options.deadlineMs, () => this.close());
    for (const source of this.#sources.values()) this.#rearm(source);
    this.#closeIfEnded();
  }

  /** Gives the event out, now or in its turn. */
  add(node: Node, event: EngineEvent): void {
    if (this.#sources === undefined) {
      this.#needs.emit(node, event);
      return;
    }
    const source = this.#sources.get(node);
    // One that joined meanwhile has no history, and none of its events is older than those that are held.
    if (source === undefined) this.#needs.emit(node, event);
    else {
      source.events.push(event);
      this.#bytes += event.bytes.length;
      this.#rearm(source);
      if (this.#bytes >= maxBacklogBytes) this.close();
    }
  }

  /** The node's history is at its end. */
  end(node: Node): void {
    const source = this.#sources?.get(node);
    if (source === undefined || source.ended) return;
    source.ended = true;
    source.cancelQuiet();
    this.#closeIfEnded();
  }

  /** Gives out all that is held. */
  close(): void {
    const sources = this.#sources;
    if (sources === undefined) return;
    this.#sources = undefined;
    this.#cancelDeadline();
    for (const { cancelQuiet } of sources.values()) cancelQuiet();
    for (const [node, event] of inOrderOfTime([...sources.values()])) this.#needs.emit(node, event);
  }

  /** Lets go of all that is held. */
  drop(): void {
    for (const source of this.#sources?.values() ?? []) source.events.length = 0;
    this.close();
  }

  #rearm(source: Source<Node>): void {
    if (this.#options.quietMs === undefined || source.ended) return;
    source.cancelQuiet();
    source.cancelQuiet = this.#needs.startTimer(this.#options.quietMs, () => this.end(source.node));
  }

  #closeIfEnded(): void {
    if (this.#sources?.values().every(({ ended }) => ended) === true) this.close();
  }
}

interface Queue<Node> {
  readonly node: Node;
  readonly events: readonly EngineEvent[];
}

/** Merges by time; each node's events stay in their own order, whatever their times say. */
export function inOrderOfTime<Node>(
  queues: readonly Queue<Node>[],
): readonly (readonly [Node, EngineEvent])[] {
  const merged: (readonly [Node, EngineEvent])[] = [];
  const heads = queues.map((queue) => ({ queue, at: 0 }));
  for (;;) {
    let next: (typeof heads)[number] | undefined;
    let nextNs = 0n;
    for (const head of heads) {
      const event = head.queue.events[head.at];
      if (event === undefined) continue;
      // One without a time goes at once: it holds up those behind it otherwise.
      const timeNs = event.timeNs ?? 0n;
      if (next === undefined || timeNs < nextNs) {
        next = head;
        nextNs = timeNs;
      }
    }
    const event = next?.queue.events[next.at];
    if (next === undefined || event === undefined) return merged;
    merged.push([next.queue.node, event]);
    next.at += 1;
  }
}
