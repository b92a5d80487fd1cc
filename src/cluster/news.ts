// Records that came over a link and that nobody gossiped since: they are passed on by gossip, together, after a moment.
// When many members join at once most news comes by several links and by gossip; waiting saves all but one rumor of each.

import { maxMembers } from './messages.ts';
import type { MemberNetwork } from './network.ts';
import type { SignedText } from './record.ts';

export interface News {
  learn(record: SignedText, nowMs: number): void;
  /** It is on its way to everybody already. */
  onGossiped(record: SignedText): void;
  passOn(nowMs: number): void;
}

const passOnDelayMs = 150;
/** Keeps a rumor well under `maxRumorBytes`. */
const maxRecordsPerRumor = 24;

export function createNews(network: MemberNetwork): News {
  const learned = new Map<string, SignedText>();
  let sinceMs = 0;
  return {
    learn: (record, nowMs) => {
      if (learned.size === 0) sinceMs = nowMs;
      if (learned.size < maxMembers) learned.set(record.signature, record);
    },
    onGossiped: (record) => {
      learned.delete(record.signature);
    },
    passOn: (nowMs) => {
      if (learned.size === 0 || nowMs - sinceMs < passOnDelayMs) return;
      const records = [...learned.values()];
      learned.clear();
      for (let start = 0; start < records.length; start += maxRecordsPerRumor) {
        void network.publish({ kind: 'records', records: records.slice(start, start + maxRecordsPerRumor) });
      }
    },
  };
}
