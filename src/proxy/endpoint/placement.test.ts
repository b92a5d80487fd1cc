// Where a body says that a thing belongs: labels, drivers, and how Go reads keys.

import assert from 'node:assert/strict';
import { containerOf, placementOf } from './placement.ts';

const node = (nodeName: string): object => ({ kind: 'node', nodeName });
const here = { kind: 'here' };
const manager = { kind: 'manager' };

describe('placementOf', () => {
  const rows: readonly (readonly [string, 'container' | 'volume' | 'network', string, object])[] = [
    ['no label', 'container', '{"Image":"a"}', here],
    ['the label', 'container', '{"Labels":{"flotilla.node":"b"}}', node('b')],
    ['a key in another case', 'container', '{"labels":{"flotilla.node":"b"}}', node('b')],
    ['a key with the long s', 'container', '{"labelſ":{"flotilla.node":"b"}}', node('b')],
    ['two keys, which add up', 'container', '{"Labels":{"flotilla.node":"b"},"LABELS":{"x":"y"}}', node('b')],
    [
      'the last of two',
      'container',
      '{"Labels":{"flotilla.node":"b"},"labels":{"flotilla.node":"c"}}',
      node('c'),
    ],
    ['a label in another case', 'container', '{"Labels":{"Flotilla.Node":"b"}}', here],
    ['an empty label', 'container', '{"Labels":{"flotilla.node":""}}', here],
    ['a label that is no text', 'container', '{"Labels":{"flotilla.node":1}}', here],
    ['labels that are null', 'container', '{"Labels":null}', here],
    ['labels that are a list', 'container', '{"Labels":["flotilla.node=b"]}', here],
    ['an empty body', 'container', '', here],
    ['no JSON', 'container', '{"Labels":', here],
    ['a list', 'container', '[1]', here],
    ['a volume', 'volume', '{"Name":"v","Labels":{"flotilla.node":"b"}}', node('b')],
    ['a cluster volume', 'volume', '{"Name":"v","ClusterVolumeSpec":{"Group":"g"}}', manager],
    ['a cluster volume that is none', 'volume', '{"Name":"v","ClusterVolumeSpec":null}', here],
    ['a bridge', 'network', '{"Name":"n","Driver":"bridge","Labels":{"flotilla.node":"b"}}', node('b')],
    ['an overlay', 'network', '{"Name":"n","driver":"overlay","Labels":{"flotilla.node":"b"}}', manager],
    ['swarm scope', 'network', '{"Name":"n","Driver":"macvlan","Scope":"swarm"}', manager],
    ['ingress', 'network', '{"Name":"n","Ingress":true}', manager],
  ];
  for (const [name, what, body, expected] of rows) {
    it(`takes ${name}`, () => assert.deepEqual(placementOf(what, Buffer.from(body)), expected));
  }
});

describe('containerOf', () => {
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['{"Container":"web"}', 'web'],
    ['{"container":"web","EndpointConfig":{}}', 'web'],
    ['{"Container":"a","CONTAINER":"b"}', 'b'],
    ['{"Container":""}', undefined],
    ['{"Container":7}', undefined],
    ['', undefined],
  ];
  for (const [body, expected] of rows) {
    it(`reads ${body}`, () => assert.equal(containerOf(Buffer.from(body)), expected));
  }
});
