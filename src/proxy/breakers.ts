// Keeps one breaker for each member of the view, probes those that are open, and ends the waits in progress of a member
// whose breaker opens or that dies: a request never waits for somebody who is already known to be gone.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import {
  type BreakerEvent,
  type BreakerOptions,
  type BreakerState,
  breakerDefaults,
  freshBreaker,
  nextBreaker,
  type OpenReason,
} from './breaker.ts';
import type { FetchLimits } from './proxy.ts';
import { type StartTimer, startTimer } from './timer.ts';

export interface BreakersNeeds {
  readonly view: () => ClusterView;
  readonly onViewChange: (listener: (view: ClusterView) => void) => () => void;
  /** Resolves when the member's agent answers. */
  readonly probe: (member: Member, limits: FetchLimits) => Promise<void>;
  readonly log: Logger;
  readonly now?: () => number;
  readonly startTimer?: StartTimer;
}

/** Why waits for a member end before their own deadline. */
export type GoneReason = 'breaker-open' | 'dead';

/** What ends a wait: the breaker, or the member's death alone. */
export type WatchUntil = 'breaker-open' | 'dead';

export interface Breakers {
  /** Since when the member is not to be asked, wall clock; undefined when it may be. */
  openSince(member: Member): number | undefined;
  /** Calls back once if the member is gone or, before that, its breaker opens. Returns the call that ends the watch. */
  watch(member: Member, onGone: (reason: GoneReason) => void, until?: WatchUntil): () => void;
  /** Says that a request met a dead end at the member. */
  failed(member: Member, reason: OpenReason): void;
  start(): void;
  stop(): void;
}

const probeLimits = { firstByteMs: 1_000, idleMs: 1_000, maxBytes: 4_096 };

export function createBreakers(needs: BreakersNeeds, options: BreakerOptions = breakerDefaults): Breakers {
  // By engine id: it outlives a restart of the agent, and there are never more than members in the view.
  const entries = new Map<string, MemberBreaker>();
  let stopListening: (() => void) | undefined;

  const entryOf = (member: Member): MemberBreaker | undefined => {
    const { engineId } = member.record;
    const known = entries.get(engineId);
    if (known !== undefined) return known;
    const current = needs.view().members.find(({ record }) => record.engineId === engineId);
    if (current === undefined) return undefined;
    const entry = new MemberBreaker(current, needs, options);
    entries.set(engineId, entry);
    return entry;
  };

  const onView = (view: ClusterView): void => {
    for (const [engineId, entry] of entries) {
      const current = view.members.find(({ record }) => record.engineId === engineId);
      if (current === undefined) {
        // Dead members are named by the view itself; one that returns begins with a fresh breaker.
        entries.delete(engineId);
        entry.drop();
      } else {
        entry.follow(current);
      }
    }
  };

  return {
    openSince: (member) => entries.get(member.record.engineId)?.openSince(),
    watch(member, onGone, until = 'breaker-open'): () => void {
      const entry = entryOf(member);
      if (entry !== undefined) return entry.watch(onGone, until);
      onGone('dead');
      return nothing;
    },
    failed: (member, reason) => entryOf(member)?.apply({ kind: 'failed', reason }),
    start(): void {
      stopListening ??= needs.onViewChange(onView);
    },
    stop(): void {
      stopListening?.();
      stopListening = undefined;
      for (const entry of entries.values()) entry.drop();
      entries.clear();
    },
  };
}

/** The breaker of one member with what hangs on it: the waits in progress, the next probe, the one under way. */
class MemberBreaker {
  readonly #needs: BreakersNeeds;
  readonly #options: BreakerOptions;
  readonly #watchers = new Map<(reason: GoneReason) => void, WatchUntil>();
  /** As of the current view, so that a probe goes where the member is now. */
  #member: Member;
  #state: BreakerState = freshBreaker;
  #probing: AbortController | undefined;
  #cancelTimer: () => void = nothing;

  constructor(member: Member, needs: BreakersNeeds, options: BreakerOptions) {
    this.#member = member;
    this.#needs = needs;
    this.#options = options;
  }

  openSince(): number | undefined {
    return this.#state.kind === 'closed' ? undefined : this.#state.sinceMs;
  }

  watch(onGone: (reason: GoneReason) => void, until: WatchUntil): () => void {
    this.#watchers.set(onGone, until);
    return () => this.#watchers.delete(onGone);
  }

  apply(event: BreakerEvent): void {
    const before = this.#state;
    const after = nextBreaker(before, event, this.#now(), this.#options);
    if (after === before) return;
    this.#state = after;
    const node = this.#member.record.nodeName;
    if (before.kind === 'closed' && after.kind === 'open') {
      this.#needs.log.warn('breaker opened', { node, reason: after.reason });
      this.#tell('breaker-open');
    } else if (before.kind !== 'closed' && after.kind === 'closed') {
      this.#needs.log.info('breaker closed', { node, openMs: this.#now() - before.sinceMs });
    }
    this.#schedule();
  }

  /** Takes the member's current record; another agent in its place has a clean slate, but must pass a probe. */
  follow(current: Member): void {
    const replaced = current.record.peerId !== this.#member.record.peerId;
    this.#member = current;
    if (!replaced) return;
    this.#probing?.abort();
    this.apply({ kind: 'returned' });
  }

  drop(): void {
    this.#cancelTimer();
    this.#probing?.abort();
    this.#tell('dead');
  }

  #now(): number {
    return (this.#needs.now ?? Date.now)();
  }

  #schedule(): void {
    this.#cancelTimer();
    this.#cancelTimer = nothing;
    if (this.#state.kind !== 'open') return;
    const delayMs = Math.max(0, this.#state.nextProbeMs - this.#now());
    this.#cancelTimer = (this.#needs.startTimer ?? startTimer)(delayMs, () => void this.#probe());
  }

  async #probe(): Promise<void> {
    const controller = new AbortController();
    this.#probing = controller;
    this.apply({ kind: 'probe-started' });
    let event: BreakerEvent = { kind: 'probe-passed' };
    try {
      await this.#needs.probe(this.#member, { ...probeLimits, signal: controller.signal });
    } catch (error) {
      event = { kind: 'probe-failed' };
      this.#needs.log.debug('probe failed', { node: this.#member.record.nodeName, error: reasonOf(error) });
    }
    // Given up meanwhile: its result is about an agent that is not the one any more.
    if (!controller.signal.aborted) this.apply(event);
  }

  #tell(reason: GoneReason): void {
    const told = [...this.#watchers].filter(([, until]) => reason === 'dead' || until === reason);
    for (const [watcher] of told) this.#watchers.delete(watcher);
    for (const [watcher] of told) watcher(reason);
  }
}

const nothing = (): void => undefined;
