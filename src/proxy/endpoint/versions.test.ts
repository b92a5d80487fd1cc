// What a cluster of unlike engines says that it speaks, and in what version each of them is asked.

import assert from 'node:assert/strict';
import { memberOf } from '../../../test/support/fake-peer.ts';
import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { advertisedRange, commonRange, mergeVersion, spokenRange } from './versions.ts';

const old = memberOf({ nodeName: 'old', minApiVersion: '1.12', apiVersion: '1.40' }, true);
const middle = memberOf({ nodeName: 'middle', minApiVersion: '1.24', apiVersion: '1.41', role: 'manager' });
const recent = memberOf({ nodeName: 'recent', minApiVersion: '1.44', apiVersion: '1.52' });
const viewOf = (...others: readonly Member[]): ClusterView => ({
  state: 'joined',
  self: old,
  members: [old, ...others],
  missing: [],
});

describe('the API versions of a cluster', () => {
  it('are those that all share, and numbers, not text', () => {
    assert.deepEqual(commonRange(viewOf(middle)), { min: '1.24', max: '1.40' });
    const ancient = memberOf({ nodeName: 'ancient', minApiVersion: '1.9', apiVersion: '1.10' });
    assert.deepEqual(commonRange({ ...viewOf(), members: [ancient] }), { min: '1.9', max: '1.10' });
  });

  it('are those of a manager where the ranges do not meet', () => {
    assert.equal(commonRange(viewOf(middle, recent)), undefined);
    assert.deepEqual(advertisedRange(viewOf(middle, recent)), { min: '1.24', max: '1.41' });
    assert.deepEqual(spokenRange(viewOf(middle, recent)), { min: '1.12', max: '1.52' });
  });

  const rows: readonly (readonly [string, Member, string | undefined, string | undefined])[] = [
    ['the one that the client chose', middle, '1.40', '1.40'],
    ['the nearest below', old, '1.41', '1.40'],
    ['the nearest above', recent, '1.41', '1.44'],
    ['its newest, where the client names none and ranges do not meet', recent, undefined, undefined],
  ];
  for (const [name, member, asked, expected] of rows) {
    it(`ask a member in ${name}`, () =>
      assert.equal(mergeVersion(viewOf(middle, recent), member, asked), expected));
  }

  it('ask all in the newest that they share where the client names none', () => {
    assert.equal(mergeVersion(viewOf(middle), middle, undefined), '1.40');
    assert.equal(mergeVersion(viewOf(middle), old, undefined), undefined);
  });
});
