// Decides whether a member is asked at all, as one state per member: closed, open, or half-open during a probe.
// Pure. Only a background probe closes it again: no request is ever spent on finding out whether a member is back.

export type OpenReason = 'timeout' | 'refused' | 'untrusted';

export type BreakerState =
  | {
      readonly kind: 'closed';
      /** When it closed, and how many times in a row it had opened again too soon. */
      readonly sinceMs: number;
      readonly relapses: number;
    }
  | {
      readonly kind: 'open';
      readonly reason: OpenReason;
      readonly sinceMs: number;
      readonly relapses: number;
      readonly nextProbeMs: number;
    }
  | {
      readonly kind: 'half-open';
      readonly reason: OpenReason;
      readonly sinceMs: number;
      readonly relapses: number;
    };

export type BreakerEvent =
  /** A request met a dead end. */
  | { readonly kind: 'failed'; readonly reason: OpenReason }
  /** The member came back, or a newer agent took its place: whatever was known is void. */
  | { readonly kind: 'returned' }
  | { readonly kind: 'probe-started' }
  | { readonly kind: 'probe-passed' }
  | { readonly kind: 'probe-failed' };

export interface BreakerOptions {
  /** Between two probes, milliseconds. */
  readonly probeIntervalMs: number;
  /**
   * An agent may answer probes while its engine hangs: a breaker that opens again within `relapseMs` of closing waits
   * twice as long for its first probe, up to `maxHoldMs`, so that such a member does not cost every other list a deadline.
   */
  readonly relapseMs: number;
  readonly maxHoldMs: number;
}

export const breakerDefaults: BreakerOptions = { probeIntervalMs: 500, relapseMs: 10_000, maxHoldMs: 4_000 };

/** Long closed, with nothing held against the member. */
export const freshBreaker: BreakerState = { kind: 'closed', sinceMs: Number.NEGATIVE_INFINITY, relapses: 0 };

export function nextBreaker(
  state: BreakerState,
  event: BreakerEvent,
  nowMs: number,
  options: BreakerOptions,
): BreakerState {
  switch (event.kind) {
    case 'failed':
      return state.kind === 'closed' ? open(state, event.reason, nowMs, options) : state;
    case 'returned':
      if (state.kind === 'closed') return freshBreaker;
      return { ...state, kind: 'open', relapses: 0, nextProbeMs: nowMs };
    case 'probe-started':
      if (state.kind !== 'open') return state;
      return { kind: 'half-open', reason: state.reason, sinceMs: state.sinceMs, relapses: state.relapses };
    case 'probe-passed':
      if (state.kind !== 'half-open') return state;
      return { kind: 'closed', sinceMs: nowMs, relapses: state.relapses };
    case 'probe-failed':
      if (state.kind !== 'half-open') return state;
      return { ...state, kind: 'open', nextProbeMs: nowMs + options.probeIntervalMs };
  }
}

function open(
  closed: Extract<BreakerState, { kind: 'closed' }>,
  reason: OpenReason,
  nowMs: number,
  options: BreakerOptions,
): BreakerState {
  const relapses = nowMs - closed.sinceMs < options.relapseMs ? closed.relapses + 1 : 0;
  const holdMs = Math.min(options.probeIntervalMs * 2 ** relapses, options.maxHoldMs);
  return { kind: 'open', reason, sinceMs: nowMs, relapses, nextProbeMs: nowMs + holdMs };
}
