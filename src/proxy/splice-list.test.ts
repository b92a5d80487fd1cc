// The splices against `JSON.parse`, which is the judge: ugly lists by hand, then random ones from a fixed seed.

import assert from 'node:assert/strict';
import { pick, randomObject, seeded, write } from '../../test/support/random-json.ts';
import { AgentError } from '../errors.ts';
import { maxNesting } from './json-scan.ts';
import {
  decorateList,
  decorateVolumes,
  isList,
  isVolumes,
  joinLists,
  joinVolumes,
  portainerMember,
} from './splice-list.ts';

const member = portainerMember('node-1');
const decorate = (text: string): string => decorateList(Buffer.from(text), member).toString();
const mark = '"Portainer":{"Agent":{"NodeName":"node-1"}}';

describe('splice-list: decorateList', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['an empty list', '[]', '[]'],
    ['white space and the newline of the engine', ' [ ]\n', '[ ]'],
    ['an empty object', '[{}]', `[{${mark}}]`],
    ['an empty object with space', '[{ \n}]', `[{ \n${mark}}]`],
    ['one item', '[{"Id":"a"}]\n', `[{"Id":"a",${mark}}]`],
    ['two items', '[{"a":1} , {"b":2}]', `[{"a":1,${mark}} , {"b":2,${mark}}]`],
    ['braces, brackets and commas in strings', '[{"a":"}],{[","]":"{"}]', `[{"a":"}],{[","]":"{",${mark}}]`],
    ['escaped quotes', '[{"a":"\\"}]\\\\"}]', `[{"a":"\\"}]\\\\",${mark}}]`],
    ['escapes in keys', '[{"\\"}\\\\":1}]', `[{"\\"}\\\\":1,${mark}}]`],
    ['nested values', '[{"a":{"b":[{"c":{}}]}}]', `[{"a":{"b":[{"c":{}}]},${mark}}]`],
    ['numbers beyond 2^53, as they are', '[{"n":9007199254740993}]', `[{"n":9007199254740993,${mark}}]`],
    ['unicode', '[{"ü":"\u{1f433}}"}]', `[{"ü":"\u{1f433}}",${mark}}]`],
  ];
  for (const [name, given, wanted] of cases) {
    it(`takes ${name}`, () => assert.equal(decorate(given), wanted));
  }

  it('replaces a Portainer member of the engine', () => {
    const [item] = JSON.parse(decorate('[{"Portainer":{"Agent":{"NodeName":"liar"},"x":1},"Id":"a"}]'));
    assert.deepEqual(item, { Portainer: { Agent: { NodeName: 'node-1' } }, Id: 'a' });
  });

  it('escapes a node name that could break out of its string', () => {
    const name = 'n"},{"Id":"\\\n\u{2028}';
    const [item, ...others] = JSON.parse(
      decorateList(Buffer.from('[{"Id":1}]'), portainerMember(name)).toString(),
    );
    assert.deepEqual(item, { Id: 1, Portainer: { Agent: { NodeName: name } } });
    assert.deepEqual(others, []);
  });

  const malformed: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['an error object', '{"message":"no"}'],
    ['null', 'null'],
    ['a list that is cut off', '[{"a":1},'],
    ['an item that is cut off', '[{"a":[1'],
    ['a string that is cut off', '[{"a":"x\\"}]'],
    ['bytes behind the list', '[{"a":1}]x'],
    ['two lists', '[][]'],
    ['an item that is no object', '[1]'],
    ['an item that is null', '[{},null]'],
    ['mismatched brackets', '[{"a":[}]}]'],
    ['a missing comma', '[{} {}]'],
    ['a trailing comma', '[{},]'],
    ['text', 'upstream connect error'],
    ['deep nesting', `[{"a":${'['.repeat(maxNesting)}${']'.repeat(maxNesting)}}]`],
  ];
  for (const [name, given] of malformed) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => decorate(given),
        (error) => error instanceof AgentError && error.code === 'protocol-violation',
      );
    });
  }

  it('gives what JSON.parse gives, for 2,000 random lists', () => {
    const random = seeded(42);
    for (let round = 0; round < 2_000; round += 1) {
      const items = Array.from({ length: pick(random, 5) }, () => randomObject(random, 3));
      const text = write(items, random);
      const wanted = items.map((item) => ({ ...item, Portainer: { Agent: { NodeName: 'node-1' } } }));
      assert.deepEqual(JSON.parse(decorate(text)), wanted, text);
    }
  });

  it('refuses every proper prefix of a list', () => {
    const random = seeded(7);
    const text = write([randomObject(random, 3), randomObject(random, 3)], random).trim();
    for (let end = 0; end < text.length; end += 1) {
      assert.throws(() => decorate(text.slice(0, end)), AgentError, text.slice(0, end));
    }
  });
});

describe('splice-list: volumes', () => {
  const volumes = (text: string): string => decorateVolumes(Buffer.from(text), member).toString();

  it('decorates the volumes and drops the warnings', () => {
    const given = '{ "Warnings" : ["]}"], "Volumes" : [ {"Name":"v"} ] , "x":1.5e3}\n';
    assert.equal(volumes(given), `{"Volumes":[ {"Name":"v",${mark}} ]}`);
  });

  it('takes null and absence for an empty list', () => {
    for (const given of ['{"Volumes":null,"Warnings":null}', '{"Warnings":null}', '{}', ' {"Volumes":[]}']) {
      assert.equal(volumes(given), '{"Volumes":[]}');
    }
  });

  it('is not misled by a Volumes deeper down, and takes the last of two', () => {
    assert.equal(volumes('{"a":{"Volumes":[{}]},"Volumes":[{"b":1}]}'), `{"Volumes":[{"b":1,${mark}}]}`);
    assert.equal(volumes('{"Volumes":[{"a":1}],"Volumes":null}'), '{"Volumes":[]}');
  });

  for (const given of [
    '',
    '[]',
    'null',
    '{"Volumes":3}',
    '{"Volumes":{}}',
    '{"Volumes":[]',
    '{"Volumes":[]}x',
    '{a:1}',
  ]) {
    it(`refuses ${given === '' ? 'nothing' : given}`, () => assert.throws(() => volumes(given), AgentError));
  }

  it('joins parts, empty ones included', () => {
    const parts = ['{"Volumes":[]}', '{"Volumes":[ {"a":1} ]}', '{"Volumes":[{"b":1},{"c":1}]}\n'];
    const joined = joinVolumes(parts.map((part) => Buffer.from(part))).toString();
    assert.equal(joined, '{"Volumes":[{"a":1},{"b":1},{"c":1}]}');
    assert.equal(joinVolumes([]).toString(), '{"Volumes":[]}');
  });
});

describe('splice-list: joinLists', () => {
  it('joins parts, empty ones and white space included', () => {
    const join = (...parts: string[]): string => joinLists(parts.map((part) => Buffer.from(part))).toString();
    assert.equal(join(), '[]');
    assert.equal(join('[]', ' [ ]\n'), '[]');
    assert.equal(join('[{"a":1}]', '[]', '[\n{"b":1},{"c":1} ]\n'), '[{"a":1},{"b":1},{"c":1}]');
  });

  it('refuses a part that is no list', () => {
    for (const part of ['', '[', ']', '{}', 'null', '[] x']) {
      assert.throws(() => joinLists([Buffer.from(part)]), AgentError, part);
      assert.equal(isList(Buffer.from(part)), false, part);
    }
    assert.equal(isList(Buffer.from(' [{}]\n')), true);
    assert.equal(isVolumes(Buffer.from('{"Volumes":[]}')), true);
    assert.equal(isVolumes(Buffer.from('{"message":"no"}')), false);
  });

  it('gives what concatenating the parsed parts gives, for 500 random sets', () => {
    const random = seeded(3);
    for (let round = 0; round < 500; round += 1) {
      const lists = Array.from({ length: pick(random, 5) }, () =>
        Array.from({ length: pick(random, 3) }, () => randomObject(random, 2)),
      );
      const parts = lists.map((list) => Buffer.from(write(list, random)));
      assert.deepEqual(JSON.parse(joinLists(parts).toString()), lists.flat());
    }
  });
});
