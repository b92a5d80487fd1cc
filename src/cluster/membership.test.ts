// The rules of membership as tables, and the bounds of the member table.

import assert from 'node:assert/strict';
import { sampleRecord } from '../../test/support/member-record.ts';
import type { MemberRecord } from './cluster.ts';
import { createMemberTable } from './member-table.ts';
import {
  compareVersions,
  deadMemoryMs,
  decideClaim,
  decideRecord,
  type Entry,
  leftMemoryMs,
  maxDead,
  nextGeneration,
} from './membership.ts';
import { type EntryState, maxMembers } from './messages.ts';
import type { SignedRecord } from './record.ts';

interface Version {
  readonly engine?: string;
  readonly peer?: string;
  readonly generation?: number;
  readonly incarnation?: number;
  readonly leaving?: boolean;
}

/** The rules look at versions only; signatures are the business of record.ts. */
function signed(version: Version): SignedRecord {
  const record: MemberRecord = {
    ...sampleRecord,
    peerId: version.peer ?? 'peer-a',
    nodeName: `node-${version.engine ?? 'a'}`,
    engineId: version.engine ?? 'a',
    role: undefined,
    generation: version.generation ?? 5,
    incarnation: version.incarnation ?? 0,
  };
  return {
    record,
    leaving: version.leaving ?? false,
    swarmId: undefined,
    text: JSON.stringify(record),
    signature: '',
  };
}

function entry(state: EntryState, version: Version = {}): Entry {
  return { signed: signed(version), state, sinceMs: 0, sinceWallMs: 0 };
}

const at = (nowMs: number): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: nowMs });

describe('membership rules', () => {
  it('orders versions by generation, then peer id, then incarnation', () => {
    const cases: readonly (readonly [Version, Version, string])[] = [
      [{ generation: 6 }, { generation: 5, incarnation: 99 }, 'newer'],
      [{ generation: 4, incarnation: 99 }, { generation: 5 }, 'older'],
      [{ incarnation: 2 }, { incarnation: 1 }, 'newer'],
      [{ peer: 'peer-b' }, { peer: 'peer-a', incarnation: 9 }, 'newer'],
      [{}, {}, 'same'],
    ];
    for (const [a, b, order] of cases) {
      assert.equal(compareVersions(signed(a).record, signed(b).record), order, JSON.stringify([a, b]));
    }
  });

  it('takes a record only if it is newer, in whatever state the old one is', () => {
    for (const state of ['alive', 'suspect', 'dead', 'left'] as const) {
      assert.equal(decideRecord(entry(state), signed({})), undefined, state);
      assert.equal(decideRecord(entry(state), signed({ incarnation: 1 })), 'alive', state);
      assert.equal(decideRecord(entry(state), signed({ incarnation: 1, leaving: true })), 'left', state);
      assert.equal(
        decideRecord(entry(state, { generation: 6 }), signed({ incarnation: 1 })),
        undefined,
        state,
      );
    }
    assert.equal(decideRecord(undefined, signed({})), 'alive');
  });

  it('believes a claim about this very version only, and never one that is weaker than what is known', () => {
    const claim = { peerId: 'peer-a', generation: 5, incarnation: 0 };
    const cases: readonly (readonly [EntryState, 'suspect' | 'dead', EntryState | undefined])[] = [
      ['alive', 'suspect', 'suspect'],
      ['alive', 'dead', 'dead'],
      ['suspect', 'suspect', undefined],
      ['suspect', 'dead', 'dead'],
      ['dead', 'suspect', undefined],
      ['left', 'dead', undefined],
      ['left', 'suspect', undefined],
    ];
    for (const [state, claimed, expected] of cases) {
      assert.equal(decideClaim(entry(state), claim, claimed), expected, `${claimed} about ${state}`);
    }
    assert.equal(
      decideClaim(entry('alive', { incarnation: 1 }), claim, 'dead'),
      undefined,
      'refuted already',
    );
    assert.equal(decideClaim(entry('alive', { generation: 6 }), claim, 'dead'), undefined, 'restarted since');
    assert.equal(
      decideClaim(entry('alive', { peer: 'peer-b' }), claim, 'dead'),
      undefined,
      'another identity',
    );
  });

  it('counts generations on, also when the clock stepped back', () => {
    assert.equal(nextGeneration(1_000.7, 0), 1_000);
    assert.equal(nextGeneration(1_000, 5_000), 5_001);
  });
});

describe('member table', () => {
  it('ends in the same state for any order of the same records and claims', () => {
    const steps = [
      (table: ReturnType<typeof createMemberTable>) => table.applyRecord(signed({}), 'alive', at(0)),
      (table: ReturnType<typeof createMemberTable>) =>
        table.applyRecord(signed({ incarnation: 1 }), 'alive', at(0)),
      (table: ReturnType<typeof createMemberTable>) =>
        table.applyRecord(signed({ generation: 6 }), 'alive', at(0)),
      (table: ReturnType<typeof createMemberTable>) =>
        table.applyClaim({ peerId: 'peer-a', generation: 5, incarnation: 0 }, 'dead', at(0)),
    ];
    const hashes = new Set<string>();
    for (const order of permutations([0, 1, 2, 3])) {
      const table = createMemberTable();
      for (const index of order) steps[index]?.(table);
      hashes.add(`${table.hash()} ${table.get('a')?.state}`);
    }
    assert.equal(hashes.size, 1);
  });

  it('gives an identity to one engine only, the newer', () => {
    const table = createMemberTable();
    table.applyRecord(signed({ engine: 'a', generation: 5 }), 'alive', at(0));
    table.applyRecord(signed({ engine: 'b', generation: 6 }), 'alive', at(0));
    assert.equal(table.get('a'), undefined);
    assert.equal(table.byPeer('peer-a')?.signed.record.engineId, 'b');
    assert.equal(table.applyRecord(signed({ engine: 'a', generation: 5 }), 'alive', at(0)), undefined);
  });

  it('makes room by forgetting who left and who died, and never displaces a live member', () => {
    const table = createMemberTable();
    const add = (index: number, state: EntryState): Entry | undefined =>
      table.applyRecord(signed({ engine: `e${index}`, peer: `p${index}` }), state, at(index));
    for (let index = 0; index < maxMembers; index++) add(index, index === 0 ? 'dead' : 'alive');
    assert.ok(add(maxMembers, 'alive') !== undefined, 'the dead one goes');
    assert.equal(table.get('e0'), undefined);
    assert.equal(add(maxMembers + 1, 'alive'), undefined, 'no room left');
    assert.equal([...table.entries()].length, maxMembers);
  });

  it('forgets the dead after 72 hours, those that left sooner, and the longest dead beyond a bound', () => {
    const table = createMemberTable();
    table.applyRecord(signed({ engine: 'dead', peer: 'p1' }), 'dead', at(0));
    table.applyRecord(signed({ engine: 'left', peer: 'p2', leaving: true }), 'left', at(0));
    table.expire(leftMemoryMs + 1);
    assert.equal(table.get('left'), undefined);
    assert.ok(table.get('dead') !== undefined);
    table.expire(deadMemoryMs + 1);
    assert.equal(table.get('dead'), undefined);
    for (let index = 0; index <= maxDead; index++) {
      table.applyRecord(signed({ engine: `e${index}`, peer: `q${index}` }), 'dead', at(index));
    }
    table.expire(1_000);
    assert.equal(table.get('e0'), undefined);
    assert.equal([...table.entries()].length, maxDead);
  });
});

function permutations(items: readonly number[]): readonly (readonly number[])[] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}
