// The merge as tables: which parts count, which are missing, and what Portainer gets.

import assert from 'node:assert/strict';
import { AgentError } from '../errors.ts';
import type { NodeOutcome } from './fan-out.ts';
import { decoratePart, mergeLists } from './merge.ts';
import type { FetchedPart } from './proxy.ts';

const nowMs = 5_000;
const part = (body: string, status = 200, contentType = 'application/json'): FetchedPart => {
  return { status, rawHeaders: ['Server', 'Docker', 'Content-Type', contentType], body: Buffer.from(body) };
};
const answered = (node: string, given: FetchedPart): NodeOutcome => ({
  node,
  outcome: { kind: 'answer', part: given },
});

describe('merge: mergeLists', () => {
  it('joins what answered and names what did not', () => {
    const dead: NodeOutcome = { node: 'c', outcome: { kind: 'missing', reason: 'dead', sinceMs: 1_000 } };
    const outcomes = [answered('a', part('[{"Id":1}]\n')), dead, answered('b', part('[{"Id":2}]'))];
    const { body, missing } = mergeLists('containers', outcomes, nowMs);
    assert.equal(body.toString(), '[{"Id":1},{"Id":2}]');
    assert.deepEqual(missing, [{ node: 'c', reason: 'dead', sinceMs: 1_000 }]);
  });

  const bad: readonly (readonly [string, FetchedPart])[] = [
    ['an error of the engine', part('{"message":"invalid filter"}', 400)],
    ['a list with another status', part('[]', 500)],
    ['a message with status 200', part('{"message":"x"}')],
    ['text', part('[]', 200, 'text/plain')],
    ['a content type that only begins like JSON', part('[]', 200, 'application/jsonp')],
    ['no content type', { status: 200, rawHeaders: [], body: Buffer.from('[]') }],
    ['an empty body', part('')],
    ['half a list', part('[{"Id":')],
    ['null', part('null')],
    ['volumes for a list', part('{"Volumes":[]}')],
  ];
  for (const [name, given] of bad) {
    it(`leaves out ${name}`, () => {
      const { body, missing } = mergeLists(
        'images',
        [answered('a', part('[{"Id":1}]')), answered('b', given)],
        nowMs,
      );
      assert.equal(body.toString(), '[{"Id":1}]');
      assert.deepEqual(missing, [{ node: 'b', reason: 'bad-answer', sinceMs: nowMs, status: given.status }]);
    });
  }

  it('takes a content type with parameters, in any case', () => {
    const given = part('[{}]', 200, 'Application/JSON; charset=utf-8');
    assert.equal(mergeLists('networks', [answered('a', given)], nowMs).body.toString(), '[{}]');
  });

  it('is an empty list when all failed, in the form of its kind', () => {
    const outcomes = [answered('a', part('{"message":"x"}', 400))];
    assert.equal(mergeLists('networks', outcomes, nowMs).body.toString(), '[]');
    assert.equal(mergeLists('volumes', outcomes, nowMs).body.toString(), '{"Volumes":[]}');
    assert.equal(mergeLists('containers', [], nowMs).body.toString(), '[]');
  });

  it('joins volumes without warnings', () => {
    const one = decoratePart(
      'volumes',
      'portainer',
      part('{"Volumes":[{"Name":"v"}],"Warnings":["w"]}\n'),
      'a',
    );
    const none = decoratePart('volumes', 'portainer', part('{"Volumes":null,"Warnings":null}\n'), 'b');
    const { body, missing } = mergeLists('volumes', [answered('a', one), answered('b', none)], nowMs);
    assert.deepEqual(JSON.parse(body.toString()), {
      Volumes: [{ Name: 'v', Portainer: { Agent: { NodeName: 'a' } } }],
    });
    assert.deepEqual(missing, []);
  });
});

describe('merge: decoratePart', () => {
  it('names the node in each item, and drops headers that no longer describe the body', () => {
    const decorated = decoratePart('containers', 'portainer', part('[{"Id":1}]'), 'node-1');
    assert.equal(decorated.body.toString(), '[{"Id":1,"Portainer":{"Agent":{"NodeName":"node-1"}}}]');
    assert.deepEqual(decorated.rawHeaders, ['Content-Type', 'application/json']);
  });

  it('names it in a label where that is asked for, and keeps the warnings of volumes', () => {
    const label = '"Labels":{"flotilla.node":"node-1"}';
    const containers = decoratePart('containers', 'label', part('[{"Id":1}]\n'), 'node-1');
    assert.equal(containers.body.toString(), `[{"Id":1,${label}}]\n`);
    const given = part('{"Volumes":[{"Name":"v"}],"Warnings":["w"]}');
    const volumes = decoratePart('volumes', 'label', given, 'node-1');
    assert.equal(volumes.body.toString(), `{"Volumes":[{"Name":"v",${label}}],"Warnings":["w"]}`);
  });

  it('passes an error of the engine untouched', () => {
    for (const given of [part('{"message":"no"}', 400), part('404 page not found', 404, 'text/plain')]) {
      assert.equal(decoratePart('containers', 'portainer', given, 'node-1'), given);
    }
  });

  it('refuses a broken list before it can break the merged one', () => {
    assert.throws(() => decoratePart('containers', 'portainer', part('[{"Id":1}'), 'node-1'), AgentError);
  });
});
