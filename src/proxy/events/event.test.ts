// What is read of an event, and how its node is written into it: not one other byte changes.

import assert from 'node:assert/strict';
import { readEvent, withNode } from './event.ts';

const named = (text: string, node = 'node-1'): string =>
  withNode(readEvent(Buffer.from(text)), node).toString();

describe('event', () => {
  it('reads what events are told apart and ordered by', () => {
    const text =
      '{"status":"start","id":"c1","Type":"container","Action":"exec_start: sh -c \\"}\\"","Actor":{"ID":"c1",' +
      '"Attributes":{"image":"a","name":"web"}},"scope":"local","time":1763796000,"timeNano":1763796000123456789}';
    const { bytes, place, ...facts } = readEvent(Buffer.from(text));
    assert.equal(bytes.toString(), text);
    assert.ok(place.from > 0);
    assert.deepEqual(facts, {
      type: 'container',
      action: 'exec_start: sh -c "}"',
      actorId: 'c1',
      actorName: 'web',
      ofSwarm: false,
      timeNs: 1_763_796_000_123_456_789n,
    });
    assert.equal(readEvent(Buffer.from('{"scope":"swarm"}')).ofSwarm, true);
    assert.equal(readEvent(Buffer.from('{"time":12}')).timeNs, 12_000_000_000n);
    assert.equal(readEvent(Buffer.from('{"timeNano":1e18}')).timeNs, undefined);
  });

  const cases: readonly (readonly [string, string, string])[] = [
    [
      'behind the other attributes',
      '{"Actor":{"ID":"c","Attributes":{"name":"web"}},"timeNano":1763796000123456789}',
      '{"Actor":{"ID":"c","Attributes":{"name":"web","flotilla.node":"node-1"}},"timeNano":1763796000123456789}',
    ],
    [
      'as the only attribute',
      '{"Actor":{"Attributes": { },"ID":"c"}}',
      '{"Actor":{"Attributes": { "flotilla.node":"node-1"},"ID":"c"}}',
    ],
    [
      'where attributes are null',
      '{"Actor":{"ID":"c","Attributes":null}}',
      '{"Actor":{"ID":"c","Attributes":{"flotilla.node":"node-1"}}}',
    ],
    [
      'where there are no attributes',
      '{"Actor":{"ID":"c"}}',
      '{"Actor":{"ID":"c","Attributes":{"flotilla.node":"node-1"}}}',
    ],
    ['in an empty actor', '{"Actor":{}}', '{"Actor":{"Attributes":{"flotilla.node":"node-1"}}}'],
    [
      'where the actor is null',
      '{"Actor":null,"time":1}',
      '{"Actor":{"Attributes":{"flotilla.node":"node-1"}},"time":1}',
    ],
    ['where there is no actor', '{"time":1}', '{"time":1,"Actor":{"Attributes":{"flotilla.node":"node-1"}}}'],
    ['in nothing at all', '{}', '{"Actor":{"Attributes":{"flotilla.node":"node-1"}}}'],
    [
      'in place of a label that says otherwise',
      '{"Actor":{"Attributes":{"flotilla.node":"li\\"ar","z":"1"}}}',
      '{"Actor":{"Attributes":{"flotilla.node":"node-1","z":"1"}}}',
    ],
  ];
  for (const [where, text, expected] of cases) {
    it(`names the node ${where}`, () => assert.equal(named(text), expected));
  }

  it('names a node of any name so that it reads back', () => {
    const name = 'a"b\\c\u2028\u{1f433}';
    const event = JSON.parse(named('{"Actor":{"ID":"c","Attributes":{}}}', name));
    assert.equal(event.Actor.Attributes['flotilla.node'], name);
  });

  it('reads no event in what is none', () => {
    for (const text of ['', '[]', '{}{}', '{"Actor":"x"}', '{"Actor":{"Attributes":[1]}}', '{"Type":"\\x"}'])
      assert.throws(() => readEvent(Buffer.from(text)), { code: 'protocol-violation' }, text);
  });
});
