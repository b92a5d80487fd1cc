// Merged lists against a model in plain objects, for random parts from a fixed seed: the same items in the same order,
// and each with the bytes that its node sent.

import assert from 'node:assert/strict';
import { memberOf } from '../../../test/support/fake-peer.ts';
import { type Json, pick, randomObject, seeded, write } from '../../../test/support/random-json.ts';
import type { Member } from '../../cluster/cluster.ts';
import type { ListKind } from '../classify.ts';
import type { NodeOutcome } from '../fan-out.ts';
import { labelList } from '../splice-label.ts';
import type { Mark } from './lists-merge.ts';
import { scanParts } from './lists-parts.ts';
import { writeList } from './lists-write.ts';

type Item = Record<string, Json>;
type Random = () => number;

const members: readonly Member[] = [
  memberOf({ nodeName: 'worker-1' }),
  memberOf({ nodeName: 'manager-1', role: 'manager' }),
  memberOf({ nodeName: 'manager-2', role: 'manager', leader: true }),
];

function outcomeOf(member: Member, text: string): NodeOutcome {
  const part = {
    status: 200,
    rawHeaders: ['Content-Type', 'application/json'],
    body: Buffer.from(text),
  };
  return { node: member.record.nodeName, member, outcome: { kind: 'answer', part } };
}

function mergeTexts(
  kind: ListKind,
  texts: readonly string[],
  options: { limit?: number; before?: Mark | undefined; since?: Mark | undefined } = {},
): string {
  const outcomes = members.map((member, index) => outcomeOf(member, texts[index] ?? '[]'));
  const scanned = scanParts(kind, outcomes);
  assert.equal(scanned.size, members.length);
  const parts = [...scanned.values()].map((found, index) => ({
    ...found,
    member: members[index] ?? assert.fail(),
  }));
  return writeList(kind, parts, { limit: 0, ...options }).toString();
}

interface Listed {
  readonly member: Member;
  readonly item: Item;
  /** As its node sends it. */
  readonly text: string;
}

/** What each member lists, its items labelled. */
function randomParts(random: Random, make: (random: Random) => Item): readonly (readonly Listed[])[] {
  return members.map((member) =>
    Array.from({ length: pick(random, 5) }, (): Listed => {
      const item = make(random);
      const sent = labelList(Buffer.from(`[${write(item, random).trim()}]`), member.record.nodeName);
      return { member, item, text: sent.toString().slice(1, -1) };
    }),
  );
}

const listOf = (items: readonly Listed[]): string => ` [${items.map(({ text }) => text).join(' ,\n')}]\n`;
const idOf = (random: Random): string => pick(random, 1_000_000).toString(16).padStart(64, '0');
const randomContainer = (random: Random): Item => ({
  ...randomObject(random, 2),
  Id: idOf(random),
  Created: 1_700_000_000 + pick(random, 3),
});

describe('lists-write: containers and images', () => {
  const inOrder = (a: Listed, b: Listed): number => {
    const [left, right] = [a.item, b.item];
    return Number(right.Created) - Number(left.Created) || (String(left.Id) < String(right.Id) ? -1 : 1);
  };

  it('are the newest of all nodes, byte for byte, for 1,000 random sets', () => {
    const random = seeded(21);
    for (let round = 0; round < 1_000; round += 1) {
      const parts = randomParts(random, randomContainer);
      const limit = pick(random, 6);
      const ordered = parts.flat().toSorted(inOrder);
      const wanted = limit === 0 ? ordered : ordered.slice(0, limit);
      const texts = parts.map(listOf);
      const merged = mergeTexts('containers', texts, { limit });
      assert.equal(merged, `[${wanted.map(({ text }) => text).join(',')}]\n`);
      assert.deepEqual(
        JSON.parse(merged).map(({ Id, Labels }: Item) => [Id, (Labels as Item)['flotilla.node']]),
        wanted.map(({ item, member }) => [item.Id, member.record.nodeName]),
      );
      assert.equal(JSON.parse(mergeTexts('images', texts, { limit })).length, ordered.length);
    }
  });

  it('are cut before and behind a container of one node, whose own engine has done so', () => {
    const random = seeded(22);
    for (let round = 0; round < 500; round += 1) {
      const parts = randomParts(random, randomContainer);
      const ordered = parts.flat().toSorted(inOrder);
      const chosen = ordered[pick(random, ordered.length)];
      if (chosen === undefined) continue;
      const at = ordered.indexOf(chosen);
      const { member, item } = chosen;
      const id = String(item.Id);
      const createdMs = Number(item.Created) * 1_000 + pick(random, 999);
      const mark: Mark = { members: [member], id, name: id, createdMs };
      const cut = (wanted: readonly Listed[]): string[] =>
        parts.map((part) => listOf(part.filter((each) => each.member !== member || wanted.includes(each))));
      const older = ordered.slice(at + 1);
      const newer = ordered.slice(0, at);
      const join = (listed: readonly Listed[]): string => `[${listed.map(({ text }) => text).join(',')}]\n`;
      assert.equal(mergeTexts('containers', cut(older), { before: mark }), join(older));
      assert.equal(mergeTexts('containers', cut(newer), { since: mark, limit: 2 }), join(newer.slice(0, 2)));
    }
  });

  it('keeps numbers beyond 2^53 and items without a date, which are the oldest', () => {
    const merged = mergeTexts('images', [
      '[{"Id":"a","Size":9007199254740993}]',
      '[{"Id":"b","Created":"x"}]',
      '[{"Id":"c","Created":1}]',
    ]);
    assert.deepEqual(
      JSON.parse(merged).map(({ Id }: Item) => Id),
      ['c', 'a', 'b'],
    );
    assert.match(merged, /"Size":9007199254740993}/);
  });
});

describe('lists-write: networks and volumes', () => {
  const model = (parts: readonly (readonly Listed[])[], identify: (item: Item) => string): string[] => {
    // By rank: the leader, the other manager, the worker.
    const best = new Map<string, string>();
    for (const part of [parts[2], parts[1], parts[0]]) {
      for (const { item, text } of part ?? []) {
        const identity = identify(item);
        if (identity !== '' && !best.has(identity)) best.set(identity, text);
      }
    }
    const done = new Set<string>();
    return parts.flat().flatMap(({ item, text }) => {
      const identity = identify(item);
      if (identity === '') return [text];
      if (done.has(identity)) return [];
      done.add(identity);
      return [best.get(identity) ?? assert.fail()];
    });
  };

  it('show networks of the swarm once, as the leader has them, and local ones for each node', () => {
    const random = seeded(23);
    const make = (source: Random): Item => ({
      ...randomObject(source, 2),
      Id: `n${pick(source, 4)}`,
      Scope: source() < 0.5 ? 'swarm' : 'local',
    });
    for (let round = 0; round < 500; round += 1) {
      const parts = randomParts(random, make);
      const wanted = model(parts, ({ Scope, Id }) => (Scope === 'swarm' ? String(Id) : ''));
      const merged = mergeTexts('networks', parts.map(listOf));
      assert.equal(merged, `[${wanted.join(',')}]\n`);
      for (const { Scope, Labels } of JSON.parse(merged)) {
        const labelled = typeof Labels === 'object' && Labels !== null && 'flotilla.node' in Labels;
        assert.equal(labelled, Scope === 'local');
      }
    }
  });

  it('show global volumes once by driver and name, and cluster volumes by their id', () => {
    const random = seeded(24);
    const make = (source: Random): Item => ({
      ...randomObject(source, 2),
      Name: `v${pick(source, 2)}`,
      Driver: ['nfs', 'csi'][pick(source, 2)] ?? '',
      Scope: source() < 0.6 ? 'global' : 'local',
      ...(source() < 0.5 ? { ClusterVolume: { ID: `c${pick(source, 2)}`, Spec: {} } } : {}),
    });
    const identify = ({ Scope, Driver, Name, ClusterVolume }: Item): string => {
      if (Scope !== 'global') return '';
      return ClusterVolume === undefined ? `${Driver} ${Name}` : `id ${(ClusterVolume as Item).ID}`;
    };
    for (let round = 0; round < 500; round += 1) {
      const parts = randomParts(random, make);
      const texts = parts.map((part) => `{"Volumes":${listOf(part)},"Warnings":null}\n`);
      const wanted = model(parts, identify);
      assert.equal(mergeTexts('volumes', texts), `{"Volumes":[${wanted.join(',')}],"Warnings":null}\n`);
    }
  });

  it('unites warnings, each with its node, and takes null for no volumes', () => {
    const merged = mergeTexts('volumes', [
      '{"Volumes":null,"Warnings":["a \\"b\\""]}',
      '{"Volumes":null,"Warnings":null}',
      '{"Volumes":null,"Warnings":["c","d"]}',
    ]);
    const Warnings = ['worker-1: a "b"', 'manager-2: c', 'manager-2: d'];
    assert.equal(merged, `${JSON.stringify({ Volumes: [], Warnings })}\n`);
  });
});

describe('lists-parts', () => {
  const scan = (kind: ListKind, body: string, type = 'application/json', status = 200): number => {
    const part = { status, rawHeaders: ['Content-Type', type], body: Buffer.from(body) };
    return scanParts(kind, [{ node: 'a', outcome: { kind: 'answer', part } }]).size;
  };

  it('takes nothing for a part that is no list of its kind', () => {
    assert.equal(scan('images', '[{}]'), 1);
    assert.equal(scan('volumes', '{"Volumes":[]}'), 1);
    assert.equal(scan('images', '[{}]', 'text/plain'), 0);
    assert.equal(scan('images', '[{}]', 'application/json', 400), 0);
    assert.equal(scan('volumes', '[]'), 0);
    for (const body of ['', 'null', '{"message":"x"}', '[{]', '[{}', '[{} {}]', '[1]']) {
      assert.equal(scan('networks', body), 0, body);
    }
  });
});
