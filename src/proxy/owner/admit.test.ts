// What becomes of a request when it is known who has what it names: a table of lookups, methods and resources.

import assert from 'node:assert/strict';
import { memberOf } from '../../../test/support/fake-peer.ts';
import type { FetchedPart } from '../proxy.ts';
import type { OwnedResource } from '../routes/route.ts';
import { type Admission, type AdmitRequest, admit } from './admit.ts';
import type { Found, FoundOwner, Holder } from './rank.ts';

const nowMs = 10_000;
const a: Holder = { member: memberOf({ nodeName: 'a' }), id: 'id-a', name: 'web' };
const b: Holder = { member: memberOf({ nodeName: 'b' }), id: 'id-b', name: 'web' };
const dead = { node: 'd', reason: 'dead', sinceMs: 7_000 };

const found = (more: Partial<FoundOwner> = {}): FoundOwner => ({
  kind: 'found',
  ...a,
  by: 'name',
  inspect: undefined,
  holders: [a],
  conflict: false,
  asked: 3,
  unasked: [],
  ...more,
});
const request = (more: Partial<AdmitRequest> = {}): AdmitRequest => ({
  resource: 'container',
  name: 'web',
  method: 'POST',
  path: '/containers/web/start',
  nowMs,
  ...more,
});
const of = (resource: OwnedResource, method: string): AdmitRequest =>
  request({ resource, method, path: `/${resource}s/web` });

/** Such as `route a` or `409 <message>`. */
function told(admission: Admission): string {
  if (admission.kind === 'route') {
    const { member, rename } = admission;
    return `route ${member.record.nodeName}${rename === undefined ? '' : ` as ${rename}`}`;
  }
  return `${admission.answer.status} ${String(bodyOf(admission).message)}`;
}

function bodyOf(admission: Admission): Readonly<Record<string, unknown>> {
  assert.ok(admission.kind === 'answer');
  // Every answer of ours and of the engine's in this test is an object.
  return JSON.parse(admission.answer.body.toString()) as Readonly<Record<string, unknown>>;
}

function headersOf(admission: Admission): readonly string[] {
  assert.ok(admission.kind === 'answer');
  return admission.answer.headers;
}

describe('admit', () => {
  const hole = { unasked: [dead] };
  const two = { holders: [a, b] };
  const both = { ...two, conflict: true };
  const nodeName = { by: 'node', id: 'full' } as const;
  const routed: readonly [string, FoundOwner, AdmitRequest, string][] = [
    ['a change by name', found(), request(), 'route a'],
    ['a change by prefix', found({ by: 'prefix', id: 'full' }), request({ name: 'fu' }), 'route a as full'],
    ['a change by full id with a hole', found({ by: 'id', ...hole }), request(), 'route a'],
    ['a read by name with a hole', found(hole), request({ method: 'GET' }), 'route a'],
    [
      'a HEAD with a hole',
      found(hole),
      request({ method: 'HEAD', path: '/containers/web/archive' }),
      'route a',
    ],
    ['a wait with a hole', found(hole), request({ path: '/containers/web/wait' }), 'route a'],
    ['a change by node/name', found(nodeName), request({ name: 'a/web' }), 'route a as full'],
    [
      'the removal of an image by node/name',
      found(nodeName),
      { ...of('image', 'DELETE'), name: 'a/team/web:1' },
      'route a as team/web:1',
    ],
    [
      'the removal of a volume by node/name',
      found({ by: 'node', id: 'web' }),
      { ...of('volume', 'DELETE'), name: 'a/web' },
      'route a as web',
    ],
    ['a read of an image of several', found(two), of('image', 'GET'), 'route a'],
    ['a read of a tag in conflict', found(both), of('image', 'GET'), 'route a'],
    ['the tagging of an image of several', found(two), of('image', 'POST'), 'route a'],
    ['the removal of a swarm network', found(two), of('network', 'DELETE'), 'route a'],
    ['the removal of a cluster volume', found(two), of('volume', 'DELETE'), 'route a'],
  ];
  for (const [what, owner, wanted, expected] of routed)
    it(`passes on ${what}`, () => assert.equal(told(admit(owner, wanted)), expected));

  const target = 'or give a target node (header X-PortainerAgent-Target)';
  const notKnown = 'web is on a, but it is not known whether also on d (dead); name one, such as a/web,';
  const holders = `a/web, b/web; name one, such as a/web, ${target}`;
  const answered: readonly [string, FoundOwner, AdmitRequest, string][] = [
    [
      'a change by name with a hole',
      found(hole),
      request(),
      `503 flotilla: container ${notKnown} ${target}, the full id id-a`,
    ],
    [
      'a change by prefix with a hole',
      found({ by: 'prefix', ...hole }),
      request(),
      `503 flotilla: container ${notKnown} ${target}, the full id id-a`,
    ],
    [
      'a websocket console with a hole',
      found(hole),
      request({ method: 'GET', path: '/containers/web/attach/ws' }),
      `503 flotilla: container ${notKnown} ${target}, the full id id-a`,
    ],
    [
      'the removal of a volume with a hole',
      found(hole),
      of('volume', 'DELETE'),
      `503 flotilla: volume ${notKnown} ${target}`,
    ],
    [
      'the removal of an image of several',
      found(two),
      of('image', 'DELETE'),
      `409 flotilla: several nodes have image web: ${holders}`,
    ],
    [
      'the removal of an image of several by its id',
      found({ by: 'id', ...two }),
      of('image', 'DELETE'),
      `409 flotilla: several nodes have image web: ${holders}`,
    ],
    [
      'the tagging of a tag in conflict',
      found(both),
      of('image', 'POST'),
      `409 flotilla: several nodes have image web: ${holders}`,
    ],
  ];
  for (const [what, owner, wanted, expected] of answered)
    it(`refuses ${what}`, () => assert.equal(told(admit(owner, wanted)), expected));

  it('says to programs, too, who has it and who is missing', () => {
    const admission = admit(found(hole), request());
    const { candidates, missing } = bodyOf(admission);
    assert.deepEqual(candidates, [{ node: 'a', name: 'web', id: 'id-a' }]);
    assert.deepEqual(missing, [{ node: 'd', reason: 'dead' }]);
    assert.deepEqual(headersOf(admission), [
      'Content-Type',
      'application/json',
      'Flotilla-Nodes',
      'asked=3, answered=2, missing=1',
      'Flotilla-Missing',
      'd;reason=dead;age=3',
    ]);
  });
});

describe('admit, of what nobody has', () => {
  const engineSaid: FetchedPart = {
    status: 404,
    rawHeaders: ['Server', 'Docker', 'content-type', 'application/json; charset=utf-8'],
    body: Buffer.from('{"message":"No such container: web"}\n'),
  };
  const none = { kind: 'none', asked: 3, unasked: [] } as const;

  it('gives the answer of the engine, byte for byte', () => {
    assert.deepEqual(admit({ ...none, answer: engineSaid }, request()), {
      kind: 'answer',
      answer: {
        status: 404,
        headers: [
          'content-type',
          'application/json; charset=utf-8',
          'Flotilla-Nodes',
          'asked=3, answered=3, missing=0',
        ],
        body: engineSaid.body,
      },
    });
  });

  it('names who could not be asked, behind the words of the engine', () => {
    const admission = admit({ ...none, answer: engineSaid, unasked: [dead] }, request());
    assert.equal(told(admission), '404 No such container: web (flotilla: not asked: d (dead))');
    assert.deepEqual(bodyOf(admission).missing, [{ node: 'd', reason: 'dead' }]);
    assert.equal(headersOf(admission).at(-1), 'd;reason=dead;age=3');
    const refused = {
      ...engineSaid,
      status: 400,
      body: Buffer.from('{"message":"invalid reference format"}'),
    };
    assert.equal(
      told(admit({ ...none, answer: refused, unasked: [dead] }, request())),
      '400 invalid reference format (flotilla: not asked: d (dead))',
    );
    const mute = { ...engineSaid, body: Buffer.from('gone') };
    assert.equal(
      told(admit({ ...none, answer: mute, unasked: [dead] }, request())),
      '404 No such container: web (flotilla: not asked: d (dead))',
    );
  });

  it('is 503 where nobody answered: unknown is not the same as none', () => {
    const admission = admit({ ...none, unasked: [dead] }, request({ method: 'GET' }));
    assert.equal(told(admission), '503 flotilla: cannot look up container web: no answer from d (dead)');
    assert.match(
      headersOf(admission).join(),
      /asked=3, answered=2, missing=1,Flotilla-Missing,d;reason=dead/,
    );
  });

  const words: readonly [OwnedResource, string][] = [
    ['container', 'No such container: ../x'],
    ['exec', 'No such exec instance: ../x'],
    ['image', 'No such image: ../x'],
    ['volume', 'no such volume: ../x'],
    ['network', 'no such network: ../x'],
  ];
  for (const [resource, expected] of words)
    it(`has the words of an engine for a ${resource} that cannot be`, () => {
      const admission = admit({ ...none, asked: 0 }, request({ resource, name: '../x' }));
      assert.equal(told(admission), `404 ${expected}`);
    });
});

describe('admit, of what several have', () => {
  const several = (more: Partial<Found & { kind: 'several' }> = {}): Found => ({
    kind: 'several',
    by: 'name',
    candidates: [a, b],
    ambiguousOn: [],
    asked: 3,
    unasked: [],
    ...more,
  });
  const example = 'name one, such as a/web, or give a target node (header X-PortainerAgent-Target)';

  for (const method of ['GET', 'POST', 'DELETE'])
    it(`answers a ${method} with 409 and the candidates`, () => {
      const admission = admit(several(), request({ method }));
      assert.equal(told(admission), `409 flotilla: container web is ambiguous: a/web, b/web; ${example}`);
      assert.deepEqual(bodyOf(admission).candidates, [
        { node: 'a', name: 'web', id: 'id-a' },
        { node: 'b', name: 'web', id: 'id-b' },
      ]);
      assert.match(headersOf(admission).join(), /answered=3/);
    });

  it('speaks of a prefix in the words of engines', () => {
    const admission = admit(several({ by: 'prefix', ambiguousOn: ['c'] }), request({ name: 'id-' }));
    assert.equal(
      told(admission),
      `409 flotilla: Multiple IDs found with provided prefix: id-: a/web, b/web, several on c; ${example}`,
    );
  });

  it('passes on what an engine says that alone has several', () => {
    const answer = { status: 500, rawHeaders: [], body: Buffer.from('{"message":"Multiple IDs found"}') };
    const alone = { by: 'prefix', candidates: [], ambiguousOn: ['c'], answer } as const;
    assert.equal(told(admit(several(alone), request())), '500 Multiple IDs found');
    assert.equal(
      told(admit(several({ ...alone, ambiguousOn: ['c', 'd'] }), request({ name: 'ab' }))),
      '409 flotilla: Multiple IDs found with provided prefix: ab: several on c, several on d; ' +
        'give a target node (header X-PortainerAgent-Target)',
    );
  });

  it('says that every engine has a bridge of its own', () => {
    const admission = admit(several(), request({ resource: 'network', name: 'bridge', method: 'GET' }));
    assert.match(told(admission), /^409 .*\(every engine has its own network of this name\); name one/);
    assert.doesNotMatch(told(admit(several(), request({ resource: 'network' }))), /every engine/);
  });
});
