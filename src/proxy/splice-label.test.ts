// Labels and cuts against `JSON.parse`, which is the judge: ugly lists by hand, then random ones from a fixed seed.

import assert from 'node:assert/strict';
import { type Json, pick, randomObject, seeded, write } from '../../test/support/random-json.ts';
import { AgentError } from '../errors.ts';
import { scanItems, scanVolumes } from './scan-items.ts';
import { labelList, labelVolumes } from './splice-label.ts';

const mark = '"flotilla.node":"node-1"';
const label = (text: string): string => labelList(Buffer.from(text), 'node-1').toString();

describe('splice-label', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['an empty list', ' [ ]\n', ' [ ]\n'],
    ['labels', '[{"Labels":{"a":"b"}}]\n', `[{"Labels":{"a":"b",${mark}}}]\n`],
    ['empty labels', '[{"Labels":{ },"b":1}]', `[{"Labels":{ ${mark}},"b":1}]`],
    ['null', '[{"Labels" : null , "b":1}]', `[{"Labels" : {${mark}} , "b":1}]`],
    ['labels that are none', '[{"Labels":["x"]}]', `[{"Labels":{${mark}}}]`],
    ['an item without labels', '[{"Id":"a" }]', `[{"Id":"a" ,"Labels":{${mark}}}]`],
    ['an empty item', '[{}]', `[{"Labels":{${mark}}}]`],
    ['Labels deeper down', '[{"a":{"Labels":{}}}]', `[{"a":{"Labels":{}},"Labels":{${mark}}}]`],
    [
      'numbers beyond 2^53',
      '[{"n":9007199254740993,"Labels":{}}]',
      `[{"n":9007199254740993,"Labels":{${mark}}}]`,
    ],
    ['a local network', '[{"Scope":"local"}]', `[{"Scope":"local","Labels":{${mark}}}]`],
    [
      'a network of the swarm',
      '[{"Labels":{"a":"b"},"Scope":"swarm"}]',
      '[{"Labels":{"a":"b"},"Scope":"swarm"}]',
    ],
    ['a volume of all nodes', '[{"Scope":"global","Labels":null}]', '[{"Scope":"global","Labels":null}]'],
    ['the last of two', '[{"Labels":{"a":"1"},"Labels":{}}]', `[{"Labels":{"a":"1"},"Labels":{${mark}}}]`],
  ];
  for (const [name, given, wanted] of cases) {
    it(`takes ${name}`, () => assert.equal(label(given), wanted));
  }

  it('replaces a label of the engine', () => {
    const [item] = JSON.parse(label('[{"Labels":{"flotilla.node":"liar","a":"b"}}]'));
    assert.deepEqual(item.Labels, { a: 'b', 'flotilla.node': 'node-1' });
  });

  it('escapes a node name that could break out of its string', () => {
    const name = 'n"},{"Id":"\\\n\u{2028}';
    const parsed = JSON.parse(labelList(Buffer.from('[{"Labels":{}}]'), name).toString());
    assert.deepEqual(parsed, [{ Labels: { 'flotilla.node': name } }]);
  });

  for (const given of ['', 'null', '{}', '[1]', '[{}', '[{"a":}]', '[{"a":1,}]', '[{"a" 1}]', '[{}]x']) {
    it(`refuses ${given === '' ? 'nothing' : given}`, () => assert.throws(() => label(given), AgentError));
  }

  it('gives what JSON.parse gives, for 2,000 random lists', () => {
    const random = seeded(11);
    for (let round = 0; round < 2_000; round += 1) {
      const items = Array.from({ length: pick(random, 5) }, () => randomItem(random));
      const text = write(items, random);
      assert.deepEqual(JSON.parse(label(text)), items.map(modelOfLabel), text);
    }
  });

  it('labels volumes and leaves the rest', () => {
    const volumes = (text: string): string => labelVolumes(Buffer.from(text), 'node-1').toString();
    assert.equal(
      volumes('{"Warnings":["]}"],"Volumes":[{"Name":"v"}] ,"x":1.50}\n'),
      `{"Warnings":["]}"],"Volumes":[{"Name":"v","Labels":{${mark}}}] ,"x":1.50}\n`,
    );
    assert.equal(volumes('{"Volumes":null,"Warnings":null}\n'), '{"Volumes":null,"Warnings":null}\n');
    assert.throws(() => volumes('[]'), AgentError);
    assert.throws(() => volumes('{"Volumes":{}}'), AgentError);
  });
});

describe('scan-items', () => {
  const scan = (text: string): readonly (readonly [string, ...string[]])[] =>
    scanItems(Buffer.from(text), ['Created', 'Id']).map(({ bytes, values }) => [bytes.toString(), ...values]);

  it('gives each item as it is, and the members asked for', () => {
    assert.deepEqual(scan(' [ {"Id":"a","x":{"Created":1},"Created":17}, { } ,{"Id" : null }]\n'), [
      ['{"Id":"a","x":{"Created":1},"Created":17}', '17', '"a"'],
      ['{ }', '', ''],
      ['{"Id" : null }', '', 'null'],
    ]);
  });

  it('takes the last of two', () => assert.equal(scan('[{"Id":1,"Id":2}]')[0]?.[2], '2'));

  for (const given of ['', 'null', '[1]', '[{}]x', '[{},]', '[{"Id":}]']) {
    it(`refuses ${given === '' ? 'nothing' : given}`, () => assert.throws(() => scan(given), AgentError));
  }

  it('gives what JSON.parse gives, for 1,000 random lists', () => {
    const random = seeded(12);
    for (let round = 0; round < 1_000; round += 1) {
      const items = Array.from({ length: pick(random, 5) }, () => randomItem(random));
      const scanned = scanItems(Buffer.from(write(items, random)), ['Scope', 'Labels']);
      assert.deepEqual(
        scanned.map(({ bytes }) => JSON.parse(bytes.toString())),
        items,
      );
      assert.deepEqual(
        scanned.map(({ values }) => values.map((text) => (text === '' ? undefined : JSON.parse(text)))),
        items.map(({ Scope, Labels }) => [Scope, Labels]),
      );
    }
  });

  it('reads volumes with their warnings', () => {
    const of = (text: string): unknown => {
      const { items, warnings } = scanVolumes(Buffer.from(text), ['Name']);
      return [items.map(({ values }) => values[0]), warnings];
    };
    assert.deepEqual(of('{"Volumes":[{"Name":"v"}],"Warnings":["w\\n",3]}'), [['"v"'], ['w\n']]);
    assert.deepEqual(of('{"Warnings":null,"Volumes":null}\n'), [[], []]);
    assert.deepEqual(of('{"Warnings":x}'), [[], []]);
    assert.throws(() => of('{"message":'), AgentError);
  });
});

type Item = Record<string, Json>;

function randomItem(random: () => number): Item {
  const item: Item = randomObject(random, 2);
  const labels = [undefined, null, {}, { a: 'b' }, { 'flotilla.node': 'liar', '}': '"' }, 3][pick(random, 6)];
  if (labels !== undefined) item.Labels = labels;
  const scope = [undefined, 'local', 'swarm', 'global', null][pick(random, 5)];
  if (scope !== undefined) item.Scope = scope;
  return item;
}

function modelOfLabel(item: Item): Item {
  if (item.Scope === 'swarm' || item.Scope === 'global') return item;
  const { Labels: labels } = item;
  const kept = typeof labels === 'object' && labels !== null && !Array.isArray(labels) ? labels : {};
  return { ...item, Labels: { ...kept, 'flotilla.node': 'node-1' } };
}
