// The stacks that are known, kept on disk before anybody is told, and what of them Portainer still has to be told.
// Reports of one stack are delivered in their order, each until it is taken; a silent Portainer holds up no deployment.

import type { Logger } from '../../log.ts';
import type { Portainer } from '../edge.ts';
import type { KeptStack, StackRecord } from './stack-plan.ts';
import { toReportRequest, verdictOf } from './stack-status.ts';
import type { StackOwner, StackStore } from './stack-store.ts';

export interface StackBook {
  readonly owner: StackOwner;
  records(): readonly StackRecord[];
  get(id: number): StackRecord | undefined;
  put(record: StackRecord): Promise<void>;
  /** Rejects when Portainer does not take them now; they stay. */
  deliver(portainer: Portainer, signal: AbortSignal): Promise<void>;
}

export async function openStackBook(
  { store, log }: { readonly store: StackStore; readonly log: Logger },
  owner: StackOwner,
  adapt: (kept: KeptStack) => StackRecord,
): Promise<StackBook> {
  const known = new Map((await store.load(owner)).map((kept) => [kept.id, adapt(kept)]));
  // A monotonic time means nothing to the next process.
  const toKept = ({ sinceMs: _, ...kept }: StackRecord): KeptStack => kept;
  const save = (): Promise<void> => store.save(owner, [...known.values()].map(toKept));

  const deliverOf = async (id: number, portainer: Portainer, signal: AbortSignal): Promise<void> => {
    for (let record = known.get(id); record !== undefined; record = known.get(id)) {
      const [report, ...later] = record.reports;
      if (report === undefined) return;
      const answer = await portainer.send(toReportRequest(id, owner.environmentId, report), signal);
      const { status } = answer;
      const verdict = verdictOf(answer);
      if (verdict === 'again') throw new Error(`report of stack ${id} not taken: status ${status}`);
      if (verdict === 'refused')
        log.warn('report of a stack refused', { stack: id, status, report: report.status });
      known.set(id, { ...record, reports: later });
      await save();
    }
  };

  /** Gone, and Portainer knows. */
  const forgetGone = async (): Promise<void> => {
    const gone = [...known.values()].filter(
      ({ phase, reports }) => phase === 'removed' && reports.length === 0,
    );
    if (gone.length === 0) return;
    for (const { id } of gone) {
      await store.removeFiles(id);
      known.delete(id);
    }
    await save();
  };

  return {
    owner,
    records: () => [...known.values()],
    get: (id) => known.get(id),
    async put(record) {
      known.set(record.id, record);
      await save();
    },
    async deliver(portainer, signal) {
      for (const id of known.keys()) await deliverOf(id, portainer, signal);
      await forgetGone();
    },
  };
}
