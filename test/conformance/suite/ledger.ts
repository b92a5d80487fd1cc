// What a run makes on the nodes and owes to remove, whatever ends it: a failure while it is set up, a row that runs out
// of time, a signal. A debt is written down before the thing is made.

export interface Ledger extends AsyncDisposable {
  /**
   * Writes a removal down. It runs once: when the entry is disposed, or with all others when the ledger is. Fails when
   * the ledger has been disposed: then nothing may be made any more.
   */
  owe(remove: () => Promise<void>): AsyncDisposable;
}

/** Disposing tries every removal, and fails with those that failed. */
export function createLedger(): Ledger {
  const owed = new Set<() => Promise<void>>();
  let ended: Promise<void> | undefined;

  async function settleAll(): Promise<void> {
    const results = await Promise.allSettled([...owed].map((pay) => pay()));
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (failures.length > 0)
      throw new AggregateError(failures, `left behind: ${failures.map(String).join('; ')}`);
  }

  return {
    owe(remove) {
      if (ended !== undefined) throw new Error('the run has ended');
      let paid: Promise<void> | undefined;
      const pay = async (): Promise<void> => {
        paid ??= remove();
        await paid;
        owed.delete(pay);
      };
      owed.add(pay);
      return { [Symbol.asyncDispose]: pay };
    },
    [Symbol.asyncDispose]: () => {
      ended ??= settleAll();
      return ended;
    },
  };
}
