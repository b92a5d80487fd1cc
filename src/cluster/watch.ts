// What the detector remembers about one peer between ticks: when to probe it, who suspects it, when it was last heard.
// Plain state, one per known peer; it goes when the member is forgotten.

export interface Suspicion {
  /** The version that is suspected. A newer one starts a new suspicion. */
  readonly generation: number;
  readonly incarnation: number;
  readonly sinceMs: number;
  /** Members that found it silent by their own probes. */
  readonly accusers: Set<string>;
}

export interface Watch {
  /** Patient time of the next probe; undefined while somebody else probes it. */
  nextProbeMs: number | undefined;
  suspicion: Suspicion | undefined;
  heardMs: number;
  rttMs: number | undefined;
  /** Answers in a row whose hash differed from ours. One is a change on its way; two are a difference. */
  mismatches: number;
  syncing: boolean;
}

export interface Watches {
  of(peerId: string): Watch;
  find(peerId: string): Watch | undefined;
  entries(): IterableIterator<[string, Watch]>;
  delete(peerId: string): void;
}

export function createWatches(): Watches {
  const watches = new Map<string, Watch>();
  return {
    of: (peerId) => {
      const known = watches.get(peerId);
      if (known !== undefined) return known;
      const watch: Watch = {
        nextProbeMs: undefined,
        suspicion: undefined,
        heardMs: Number.NEGATIVE_INFINITY,
        rttMs: undefined,
        mismatches: 0,
        syncing: false,
      };
      watches.set(peerId, watch);
      return watch;
    },
    find: (peerId) => watches.get(peerId),
    entries: () => watches.entries(),
    delete: (peerId) => {
      watches.delete(peerId);
    },
  };
}

/** Smoothed as TCP does (RFC 6298): an eighth of each new sample. */
export function smoothRtt(beforeMs: number | undefined, sampleMs: number): number {
  return beforeMs === undefined ? sampleMs : beforeMs + (sampleMs - beforeMs) / 8;
}
