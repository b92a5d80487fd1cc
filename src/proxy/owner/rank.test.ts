// Who owns a name, from the answers of all: ranks over nodes, who is preferred of those that hold the same, and what is
// said of those that did not answer. And against one engine that has all containers, on random clusters.

import assert from 'node:assert/strict';
import { memberOf } from '../../../test/support/fake-peer.ts';
import type { Member } from '../../cluster/cluster.ts';
import type { NodeOutcome } from '../fan-out.ts';
import type { OwnedResource } from '../routes/route.ts';
import { admit } from './admit.ts';
import { decideOwner, type Found } from './rank.ts';

const self = memberOf({ nodeName: 'self' }, true);
const [a, b] = [memberOf({ nodeName: 'a' }), memberOf({ nodeName: 'b' })];
const manager = memberOf({ nodeName: 'm', role: 'manager' });
const leader = memberOf({ nodeName: 'l', role: 'manager', leader: true });

function says(member: Member, status: number, body: unknown): NodeOutcome {
  const part = { status, rawHeaders: [], body: Buffer.from(JSON.stringify(body)) };
  return { node: member.record.nodeName, member, outcome: { kind: 'answer', part } };
}
const has = (member: Member, body: object): NodeOutcome => says(member, 200, body);
const none = (member: Member): NodeOutcome =>
  says(member, 404, { message: `none on ${member.record.nodeName}` });
const gone = (member: Member): NodeOutcome => ({
  node: member.record.nodeName,
  member,
  outcome: { kind: 'missing', reason: 'timeout', sinceMs: 5 },
});
const dead: NodeOutcome = { node: 'd', outcome: { kind: 'missing', reason: 'dead', sinceMs: 5 } };
const nowMs = 9;

/** Such as `found id a: a/web b/web; unasked d`. */
function told(resource: OwnedResource, name: string, ...outcomes: readonly NodeOutcome[]): string {
  const found = decideOwner(resource, name, outcomes, nowMs);
  const unasked = found.unasked.map(({ node }) => ` -${node}`).join('');
  return `${verdict(found)}${unasked}`;
}

function verdict(found: Found): string {
  const list = (holders: (Found & { kind: 'found' })['holders']): string =>
    holders.map(({ member, name }) => `${member.record.nodeName}/${name}`).join(' ');
  if (found.kind === 'found') {
    const conflict = found.conflict ? ' conflict' : '';
    return `${found.by} ${found.member.record.nodeName}: ${list(found.holders)}${conflict}`;
  }
  if (found.kind === 'none') return `none: ${found.answer?.body.toString() ?? 'nobody'}`;
  return `several by ${found.by}: ${[list(found.candidates), ...found.ambiguousOn].join(' ').trim()}`;
}

describe('decideOwner', () => {
  const web = (id: string, name = 'web'): object => ({ Id: id, Name: `/${name}` });
  const noneHere = 'none: {"message":"none on self"}';

  it('prefers an id to a name, and a name to a prefix, wherever they are', () => {
    const [byId, byName, byPrefix] = [web('abc', 'x'), web('000', 'abc'), web('abcd', 'y')];
    assert.equal(told('container', 'abc', has(self, byName), has(a, byPrefix), has(b, byId)), 'id b: b/x');
    assert.equal(told('container', 'abc', has(self, byPrefix), has(a, byName), none(b)), 'name a: a/abc');
    assert.equal(told('container', 'abc', none(self), none(a), has(b, byPrefix)), 'prefix b: b/y');
  });

  it('names all candidates of a name or prefix that several have', () => {
    assert.equal(
      told('container', 'web', has(self, web('1')), none(a), has(b, web('2'))),
      'several by name: self/web b/web',
    );
    assert.equal(
      told('container', 'ab', has(a, web('ab1', 'x')), has(b, web('ab2', 'y'))),
      'several by prefix: a/x b/y',
    );
  });

  it('names them in the order of the view, whichever is nearer', () => {
    const [far, near] = [
      { ...a, rttMs: 9 },
      { ...b, rttMs: 1 },
    ];
    assert.equal(
      told('container', 'web', has(far, web('1')), has(near, web('2'))),
      'several by name: a/web b/web',
    );
  });

  it('takes what an engine finds ambiguous for several, unless a better rank decides', () => {
    const ambiguous = says(a, 500, { message: 'Multiple IDs found with provided prefix: ab' });
    assert.equal(told('container', 'ab', none(self), ambiguous), 'several by prefix: a');
    assert.equal(told('container', 'ab', has(b, web('ab1', 'x')), ambiguous), 'several by prefix: b/x a');
    assert.equal(told('container', 'ab', has(b, web('1', 'ab')), ambiguous), 'name b: b/ab');
  });

  it('does not take a container for the same because of its id', () => {
    assert.equal(
      told('container', 'abc', has(a, web('abc')), has(b, web('abc'))),
      'several by id: a/web b/web',
    );
  });

  it('says who was not asked, of what was found and of what was not', () => {
    assert.equal(told('container', 'web', has(self, web('1')), gone(a), dead), 'name self: self/web -a -d');
    assert.equal(told('container', 'web', none(a), none(self), gone(b), dead), `${noneHere} -b -d`);
    assert.equal(told('container', 'web', gone(self), none(a)), 'none: {"message":"none on a"} -self');
    assert.equal(told('container', 'web', gone(self), dead), 'none: nobody -self -d');
  });

  it('takes a refusal for the word of all when all say it, and else for no answer', () => {
    const refuses = (member: Member): NodeOutcome => says(member, 400, { message: 'bad' });
    assert.equal(told('image', 'BAD', refuses(self), refuses(a), dead), 'none: {"message":"bad"} -d');
    assert.equal(told('image', 'bad', refuses(a), none(self)), `${noneHere} -a`);
    assert.equal(
      told('image', 'app', refuses(a), has(b, { Id: 'sha256:1', RepoTags: [] })),
      'name b: b/app -a',
    );
    const { unasked } = decideOwner('image', 'x', [refuses(a), none(self)], nowMs);
    assert.deepEqual(unasked, [{ node: 'a', reason: 'bad-answer', sinceMs: nowMs, status: 400 }]);
  });

  const image = (id: string): object => ({ Id: `sha256:${id}`, RepoTags: ['app:latest'] });
  it('prefers the own node for an image that several have, then the nearest one that is not in doubt', () => {
    const near = { ...a, rttMs: 1 };
    const far = { ...b, rttMs: 9 };
    const doubtful: Member = { ...manager, rttMs: 0.1, state: 'suspect' };
    const same = [
      has(far, image('1')),
      has(leader, image('1')),
      has(doubtful, image('1')),
      has(near, image('1')),
    ];
    assert.equal(told('image', 'app', ...same, none(self)), 'name a: a/app b/app l/app m/app');
    assert.equal(
      told('image', 'app', ...same, has(self, image('1'))),
      'name self: self/app a/app b/app l/app m/app',
    );
  });

  it('finds a tag that means different images on different nodes, and says so; an id prefix is ambiguous then', () => {
    assert.equal(
      told('image', 'app', has(a, image('1')), has(self, image('2'))),
      'name self: self/app a/app conflict',
    );
    assert.equal(
      told('image', 'c', has(a, image('c1')), has(b, image('c2'))),
      'several by prefix: a/app:latest b/app:latest',
    );
    assert.equal(
      told('image', 'c', has(a, image('c1')), has(b, image('c1'))),
      'prefix a: a/app:latest b/app:latest',
    );
  });

  it('takes a swarm network for one, and the word of a manager for it', () => {
    const net = (id: string, scope: string): object => ({ Id: id, Name: 'net', Scope: scope });
    const swarm = net('s', 'swarm');
    assert.equal(
      told('network', 'net', has(self, swarm), has(manager, swarm), has(leader, swarm)),
      'name l: l/net m/net self/net',
    );
    assert.equal(
      told('network', 'net', none(manager), has(a, swarm), has(self, swarm)),
      'name self: self/net a/net',
    );
    assert.equal(
      told('network', 'net', has(a, net('1', 'local')), has(manager, swarm)),
      'several by name: a/net m/net',
    );
    assert.equal(
      told('network', 's', has(a, net('s', 'local')), has(b, net('s', 'local'))),
      'several by id: a/net b/net',
    );
  });

  it('takes a volume for one where its driver is the same for all, or it is of the cluster', () => {
    const volume = (driver: string, scope: string): object => ({
      Name: 'data',
      Driver: driver,
      Scope: scope,
    });
    const shared = volume('nfs', 'global');
    assert.equal(told('volume', 'data', has(a, shared), has(manager, shared)), 'name m: m/data a/data');
    assert.equal(
      told('volume', 'data', has(manager, shared), has(self, shared)),
      'name self: self/data m/data',
    );
    const csi = { ...volume('csi', 'global'), ClusterVolume: { ID: 'v1' } };
    assert.equal(told('volume', 'data', has(a, csi), has(manager, csi)), 'name m: m/data a/data');
    const local = volume('local', 'local');
    assert.equal(told('volume', 'data', has(a, local), has(b, local)), 'several by name: a/data b/data');
    assert.equal(
      told('volume', 'data', has(a, shared), has(b, volume('ceph', 'global'))),
      'several by name: a/data b/data',
    );
  });
});

interface FakeContainer {
  readonly id: string;
  readonly name: string;
}

interface FakeNode {
  readonly member: Member;
  readonly containers: FakeContainer[];
}

describe('a random cluster', () => {
  it('answers as one engine with all containers would, or 409 where nodes share an exact name', () => {
    const random = seeded(20_261_122);
    const seen = new Map<string, number>();
    for (let round = 0; round < 4_000; round++) {
      const nodes = [self, a, b, manager].map((member) => ({ member, containers: randomContainers(random) }));
      dropTwins(nodes);
      const all = nodes.flatMap(({ containers }) => containers);
      const name = randomWord(random);
      const outcomes = nodes.map(({ member, containers }) => answerOf(member, containers, name));
      const found = decideOwner('container', name, outcomes, nowMs);
      const got = outcomeOf(found, name);
      const context = JSON.stringify({ name, nodes: nodes.map(({ containers }) => containers) });
      assert.equal(got, sharesName(all, name) ? '409' : oneEngine(all, name), context);
      if (found.kind === 'found') assert.ok(isThere(nodes, found.member, found.id), context);
      const kind = found.kind === 'found' ? found.by : found.kind;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }
    // The random clusters are of a kind in which everything happens often.
    for (const kind of ['id', 'name', 'prefix', 'several', 'none'])
      assert.ok((seen.get(kind) ?? 0) > 100, `${kind}: ${seen.get(kind)}`);
  });

  /** The id that a request is for, or the status of the refusal; ambiguity is 409 whoever finds it. */
  function outcomeOf(found: Found, name: string): string {
    const request = { resource: 'container', name, method: 'POST', path: '/', nowMs } as const;
    const admission = admit(found, request);
    if (admission.kind === 'route') return found.kind === 'found' ? found.id : 'route to nothing';
    return admission.answer.status === 500 ? '409' : String(admission.answer.status);
  }

  function sharesName(all: readonly FakeContainer[], name: string): boolean {
    return all.filter((one) => one.name === name).length > 1 && !all.some(({ id }) => id === name);
  }

  function isThere(nodes: readonly FakeNode[], owner: Member, id: string): boolean {
    return nodes.some(
      ({ member, containers }) => member === owner && containers.some((one) => one.id === id),
    );
  }

  /** Engine-api.md 1.5. */
  function oneEngine(containers: readonly FakeContainer[], name: string): string {
    const exact = containers.find(({ id }) => id === name) ?? containers.find((one) => one.name === name);
    if (exact !== undefined) return exact.id;
    const begun = containers.filter(({ id }) => id.startsWith(name));
    if (begun.length > 1) return '409';
    return begun[0]?.id ?? '404';
  }

  function answerOf(member: Member, containers: readonly FakeContainer[], name: string): NodeOutcome {
    const id = oneEngine(containers, name);
    const one = containers.find((each) => each.id === id);
    if (one !== undefined) return has(member, { Id: one.id, Name: `/${one.name}` });
    if (id === '404') return none(member);
    return says(member, 500, { message: `Multiple IDs found with provided prefix: ${name}` });
  }

  function randomContainers(random: (below: number) => number): FakeContainer[] {
    const names = new Set(Array.from({ length: random(4) }, () => randomWord(random)));
    // All ids have one length, as on an engine: none is the beginning of another.
    return [...names].map((name) => ({
      id: Array.from({ length: 4 }, () => 'ab'[random(2)]).join(''),
      name,
    }));
  }

  /** Ids are unique over all nodes. */
  function dropTwins(nodes: readonly FakeNode[]): void {
    const ids = new Set<string>();
    for (const { containers } of nodes) {
      const unique = containers.filter(({ id }) => !ids.has(id) && ids.add(id));
      containers.splice(0, containers.length, ...unique);
    }
  }

  function randomWord(random: (below: number) => number): string {
    return Array.from({ length: 1 + random(4) }, () => 'ab'[random(2)]).join('');
  }

  /** Park and Miller's generator: a failure can be repeated. */
  function seeded(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
  }
});
