// Writes this agent's own record: a new generation at each start, a new incarnation at each change or refutation.
// The only place that signs. Generation and incarnation never go down.

import type { MemberRecord } from './cluster.ts';
import { nextGeneration } from './membership.ts';
import { type Identity, type SignedRecord, signRecord } from './record.ts';

/** What this member says of itself, without what the protocol adds. */
export type SelfDescription = Omit<MemberRecord, 'peerId' | 'generation' | 'incarnation'>;

export interface SelfRecordNeeds {
  readonly identity: Identity;
  readonly wallMs: () => number;
  readonly describe: () => { readonly self: SelfDescription; readonly swarmId: string | undefined };
}

export interface SelfRecord {
  current(): SignedRecord;
  /** Signs again if what we say of ourselves changed. Returns whether it did. */
  refresh(): boolean;
  /** A newer version than this one, which somebody suspects. */
  refute(): void;
  /** A version newer than any of this generation: what another process of this agent left behind. */
  outlive(generation: number): void;
  leave(): void;
}

export function createSelfRecord(needs: SelfRecordNeeds, highestSeen: number): SelfRecord {
  let generation = nextGeneration(needs.wallMs(), highestSeen);
  let incarnation = 0;
  let said = '';
  let leaving = false;
  let current: SignedRecord;

  const write = (): void => {
    const { self, swarmId } = needs.describe();
    said = JSON.stringify([self, swarmId]);
    const record = { ...self, peerId: needs.identity.peerId, generation, incarnation };
    current = signRecord({ record, leaving, swarmId }, needs.identity);
  };
  write();
  return {
    current: () => current,
    refresh: () => {
      const { self, swarmId } = needs.describe();
      if (JSON.stringify([self, swarmId]) === said) return false;
      incarnation += 1;
      write();
      return true;
    },
    refute: () => {
      incarnation += 1;
      write();
    },
    outlive: (other) => {
      generation = nextGeneration(needs.wallMs(), Math.max(other, generation));
      incarnation = 0;
      write();
    },
    leave: () => {
      incarnation += 1;
      leaving = true;
      write();
    },
  };
}
