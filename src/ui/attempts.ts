// Counts attempts to set a key, so that nobody tries many: per address, and over all.
// Pure apart from its own memory, which is bounded.

export interface Attempts {
  /** Undefined: go on. Else: refused, and may come again after this many milliseconds. */
  take(address: string): number | undefined;
}

export interface AttemptsNeeds {
  readonly monotonicMs: () => number;
}

const windowMs = 60_000;
/** A person who pastes the wrong thing a few times. */
const maxAttemptsPerAddress = 10;
/** Over all addresses, which bounds the memory of them too. */
const maxAttempts = 60;

export function createAttempts({ monotonicMs }: AttemptsNeeds): Attempts {
  let windowEndsMs = Number.NEGATIVE_INFINITY;
  let total = 0;
  const counts = new Map<string, number>();
  return {
    take(address): number | undefined {
      const nowMs = monotonicMs();
      if (nowMs >= windowEndsMs) {
        windowEndsMs = nowMs + windowMs;
        total = 0;
        counts.clear();
      }
      const count = counts.get(address) ?? 0;
      if (count >= maxAttemptsPerAddress || total >= maxAttempts) return windowEndsMs - nowMs;
      counts.set(address, count + 1);
      total += 1;
      return undefined;
    },
  };
}
