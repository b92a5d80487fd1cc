// Which reasons of a trouble were told already: what fails every few seconds is one line of the log, not thousands, also
// where two reasons take turns.

export interface SaidReasons {
  /** True once for each reason, until they are forgotten. */
  isNew(reason: string): boolean;
  /** It works again; true when something had been said. */
  forget(): boolean;
}

/** A reason may hold what changes each time; then all are forgotten, and said once more. */
export const maxSaidReasons: number = 32;

export function createSaidReasons(): SaidReasons {
  const said = new Set<string>();
  return {
    isNew(reason): boolean {
      if (said.has(reason)) return false;
      if (said.size >= maxSaidReasons) said.clear();
      said.add(reason);
      return true;
    },
    forget(): boolean {
      const had = said.size > 0;
      said.clear();
      return had;
    },
  };
}
