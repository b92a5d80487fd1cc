// The rule that settles two associations: every agent must end with the same one, whatever order they meet in.

import assert from 'node:assert/strict';
import { type Association, parseAssociation, settle, unassociated } from './association.ts';

const association = (epoch: number, publicKeyHex?: string, associatedAtMs = 1): Association => ({
  epoch,
  key: publicKeyHex === undefined ? undefined : { publicKeyHex, associatedAtMs, by: 'node-1' },
});

describe('association', () => {
  const rows: readonly [string, Association, Association][] = [
    ['a key over none', association(0, 'aa'), unassociated],
    ['a higher epoch over an older key', association(1), association(0, 'aa')],
    ['the key that was associated first', association(2, 'bb', 5), association(2, 'aa', 6)],
    ['the smaller key at the same moment', association(2, 'aa', 5), association(2, 'bb', 5)],
  ];
  for (const [name, winner, loser] of rows) {
    it(`prefers ${name}, in either order`, () => {
      assert.equal(settle(winner, loser), winner);
      assert.equal(settle(loser, winner), winner);
    });
  }

  it('ends the same in every order of three', () => {
    const all = [
      unassociated,
      association(1),
      association(1, 'aa', 3),
      association(1, 'bb', 2),
      association(0, 'cc', 1),
    ];
    for (const a of all) {
      for (const b of all) {
        for (const c of all) assert.deepEqual(settle(settle(a, b), c), settle(a, settle(b, c)));
      }
    }
  });

  it('reads what it wrote', () => {
    for (const value of [association(3, 'ab'), { epoch: 4, key: undefined }]) {
      assert.deepEqual(parseAssociation(JSON.stringify(value)), value);
    }
  });

  const bad = ['', 'null', '[]', '{}', '{"epoch":-1}', '{"epoch":1.5}', '{"epoch":9007199254740991}', '{"epoch":1,"key":{}}', '{"epoch":1,"key":null}',
    '{"epoch":1,"key":{"publicKeyHex":"zz","associatedAtMs":1,"by":"n"}}',
    `{"epoch":1,"key":{"publicKeyHex":"${'ab'.repeat(600)}","associatedAtMs":1,"by":"n"}}`,
    '{"epoch":1,"key":{"publicKeyHex":"ab","associatedAtMs":"1","by":"n"}}',
    `{"epoch":1,"key":{"publicKeyHex":"ab","associatedAtMs":1,"by":"${'n'.repeat(300)}"}}`]; // biome-ignore format: one a line
  for (const text of bad) {
    it(`refuses ${text.slice(0, 70) || 'nothing'}`, () => {
      assert.throws(() => parseAssociation(text), { code: 'protocol-violation' });
    });
  }
});
