// The small deciding files of the cluster as tables: ring, suspicion, discovery, own address, messages, frames, view.

import assert from 'node:assert/strict';
import { sampleRecord } from '../../test/support/member-record.ts';
import { type AddressFacts, chooseOwnAddress } from './advertise.ts';
import type { MemberRecord } from './cluster.ts';
import { isAlone, nextRoundMs, toCandidates } from './discovery-plan.ts';
import { createFrameReader, encodeFrame } from './frames.ts';
import { maxAnswerBytes, maxRumorBytes, parseAnswer, parseQuestion, parseRumor } from './messages.ts';
import { isRefusal } from './network.ts';
import { derivePreSharedKey } from './pre-shared-key.ts';
import { chooseHelpers, fullMeshMembers, linkTargets, successors } from './ring.ts';
import { maxTickAdvanceMs, patientAdvance, suspicionTimeoutMs } from './suspicion.ts';
import { toView } from './view.ts';

const half = (): number => 0.5;

describe('ring', () => {
  it('probes the next members in order and wraps around', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    assert.deepEqual(successors('b', ids, 3), ['c', 'd', 'e']);
    assert.deepEqual(successors('d', ids, 3), ['e', 'a', 'b']);
    assert.deepEqual(successors('z', ids, 2), ['a', 'b']);
    assert.deepEqual(successors('a', ['a'], 3), []);
  });

  it('links every pair in a small cluster, and keeps a large one connected with few links', () => {
    const ids = Array.from({ length: 500 }, (_, index) => `m${String(index).padStart(3, '0')}`);
    assert.equal(linkTargets('m000', ids.slice(0, fullMeshMembers)).length, fullMeshMembers - 1);
    for (const id of ids) assert.ok(linkTargets(id, ids).length <= 12);
    const reached = new Set(['m000']);
    const queue = ['m000'];
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      for (const next of linkTargets(id, ids)) {
        if (reached.has(next)) continue;
        reached.add(next);
        queue.push(next);
      }
    }
    assert.equal(reached.size, ids.length);
  });

  it('asks at most three different helpers', () => {
    assert.equal(new Set(chooseHelpers(['a', 'b', 'c', 'd', 'e'], half)).size, 3);
    assert.deepEqual(chooseHelpers([], half), []);
  });
});

describe('suspicion', () => {
  const timing = { probeIntervalMs: 1_000, probeTimeoutMs: 500 };

  it('waits shorter the more members found the suspect silent', () => {
    assert.equal(suspicionTimeoutMs({ accusers: 2, possibleConfirmers: 1 }, timing), 500);
    assert.equal(suspicionTimeoutMs({ accusers: 1, possibleConfirmers: 1 }, timing), 1_000);
    assert.equal(suspicionTimeoutMs({ accusers: 1, possibleConfirmers: 0 }, timing), 750);
  });

  it('lets time stand still while this process was held up, or its clock stepped back', () => {
    assert.equal(patientAdvance(50), 50);
    assert.equal(patientAdvance(60_000), maxTickAdvanceMs);
    assert.equal(patientAdvance(-60_000), 0);
  });
});

describe('discovery plan', () => {
  it('looks again each second while alone, each few seconds while something is missing, rarely when all are here', () => {
    assert.equal(nextRoundMs({ others: 0, faults: 1, unmatched: 3 }, half), 1_000);
    assert.equal(nextRoundMs({ others: 2, faults: 1, unmatched: 0 }, half), 3_000);
    assert.equal(nextRoundMs({ others: 2, faults: 0, unmatched: 1 }, half), 3_000);
    assert.equal(nextRoundMs({ others: 2, faults: 0, unmatched: 0 }, half), 20_000);
  });

  it('is alone only when every source answered and named nobody else', () => {
    assert.ok(isAlone({ others: 0, faults: 0, unmatched: 0 }));
    assert.ok(!isAlone({ others: 0, faults: 1, unmatched: 0 }));
    assert.ok(!isAlone({ others: 0, faults: 0, unmatched: 1 }));
  });

  it('names each address once, without its own, and not more than a bound', () => {
    const found = ['10.0.0.1', '10.0.0.2', '10.0.0.2'].map((address) => ({ address, port: 7946 }));
    const isOwn = ({ address }: { address: string }): boolean => address === '10.0.0.1';
    assert.deepEqual(toCandidates(found, isOwn), [{ address: '10.0.0.2', port: 7946 }]);
    const many = Array.from({ length: 5_000 }, (_, port) => ({ address: '10.0.0.3', port }));
    assert.equal(toCandidates(many, () => false).length, 1_024);
  });
});

describe('own address', () => {
  const facts: AddressFacts = {
    advertiseAddr: undefined,
    container: undefined,
    inSwarm: false,
    answers: [],
    routeAddress: undefined,
    localAddresses: ['192.168.1.5'],
  };
  const container = (
    ...addresses: readonly (readonly [string, string, string])[]
  ): AddressFacts['container'] => ({
    id: 'c',
    serviceName: 'agent',
    addresses: addresses.map(([network, address, scope]) => ({ network, address, scope })),
  });

  it('is what the operator set, and listens there if it is ours', () => {
    const own = chooseOwnAddress({ ...facts, advertiseAddr: '192.168.1.5' });
    assert.deepEqual(own, { advertise: '192.168.1.5', listen: '192.168.1.5' });
    const published = chooseOwnAddress({ ...facts, advertiseAddr: '203.0.113.9' });
    assert.deepEqual(published, { advertise: '203.0.113.9', listen: '0.0.0.0' });
    assert.equal(chooseOwnAddress({ ...facts, advertiseAddr: '2001:db8::1' })?.listen, '::');
  });

  it('is the address on the network that the agents are found in', () => {
    const both = container(['zone', '10.0.1.7', 'swarm'], ['agent_net', '10.0.2.9', 'swarm']);
    const inSwarm = { ...facts, inSwarm: true, container: both };
    assert.equal(chooseOwnAddress({ ...inSwarm, answers: ['10.0.1.6', '10.0.1.7'] })?.advertise, '10.0.1.7');
    assert.equal(chooseOwnAddress({ ...inSwarm, answers: ['10.0.1.6'] })?.advertise, '10.0.1.7');
    assert.equal(chooseOwnAddress(inSwarm)?.advertise, '10.0.2.9', 'by network name when DNS says nothing');
  });

  it('never is a bridge address in a Swarm, and the routed one without a container', () => {
    const bridge = container(['bridge', '172.17.0.2', 'local']);
    assert.equal(chooseOwnAddress({ ...facts, inSwarm: true, container: bridge }), undefined);
    assert.equal(chooseOwnAddress({ ...facts, container: bridge })?.advertise, '172.17.0.2');
    assert.equal(chooseOwnAddress({ ...facts, routeAddress: '192.168.1.5' })?.advertise, '192.168.1.5');
    assert.equal(chooseOwnAddress(facts), undefined);
  });
});

describe('view', () => {
  const diedMs = 5_000;
  const record = (engineId: string, more: Partial<MemberRecord>): MemberRecord => ({
    ...sampleRecord,
    engineId,
    peerId: engineId,
    nodeId: engineId,
    nodeName: 'ubuntu',
    address: `address of ${engineId}`,
    generation: 1_000,
    ...more,
  });
  const missingBeside = (self: Partial<MemberRecord>): readonly string[] => {
    const dead = record('dead', {});
    const signed = { record: dead, leaving: false, swarmId: undefined, text: '', signature: '' };
    const view = toView({
      self: record('self', self),
      joined: true,
      entries: [{ signed, state: 'dead', sinceMs: 0, sinceWallMs: diedMs }],
      rttMs: () => undefined,
    });
    return view.missing.map(({ engineId }) => engineId);
  };

  it('names a dead member as missing beside another host of the same name', () => {
    assert.deepEqual(missingBeside({}), ['dead']);
    assert.deepEqual(missingBeside({ nodeName: 'debian', generation: diedMs + 1 }), ['dead']);
  });

  it('counts a node that was set up anew as here', () => {
    assert.deepEqual(missingBeside({ generation: diedMs + 1 }), []);
    assert.deepEqual(missingBeside({ address: 'address of dead' }), []);
    assert.deepEqual(missingBeside({ nodeId: 'dead' }), []);
  });
});

describe('cluster messages', () => {
  it('refuses what has not the shape of a message', () => {
    const bad: readonly unknown[] = [
      null,
      7,
      [],
      {},
      { kind: 'exec' },
      { kind: 'ping', suspect: { peerId: 'p', generation: -1, incarnation: 0 } },
      { kind: 'ping-req' },
      { kind: 'ping-req', target: 'x'.repeat(5_000) },
      { kind: 'sync', lines: [{ text: 'a', signature: 'b', state: 'king', ageMs: 0 }] },
      { kind: 'sync', lines: Array.from({ length: 1_025 }, () => ({})) },
    ];
    for (const value of bad) {
      assert.throws(
        () => parseQuestion(value),
        { code: 'protocol-violation' },
        JSON.stringify(value)?.slice(0, 60),
      );
      assert.throws(() => parseAnswer(value), { code: 'protocol-violation' });
      assert.throws(() => parseRumor(Buffer.from(JSON.stringify(value) ?? '')));
    }
    assert.throws(() => parseRumor(Buffer.alloc(maxRumorBytes + 1)), { code: 'limit-exceeded' });
  });

  it('cuts a stream into frames wherever it is split, and refuses a frame that is too long', () => {
    const bytes = Buffer.concat([
      encodeFrame({ id: 1, body: 'a' }),
      encodeFrame({ id: 2, body: { b: 'ü' } }),
    ]);
    for (let split = 0; split <= bytes.length; split++) {
      const read = createFrameReader();
      const frames = [...read(bytes.subarray(0, split)), ...read(bytes.subarray(split))];
      assert.deepEqual(frames, [
        { id: 1, body: 'a' },
        { id: 2, body: { b: 'ü' } },
      ]);
    }
    const huge = Buffer.alloc(4);
    huge.writeUInt32BE(maxAnswerBytes + 1);
    assert.throws(() => createFrameReader()(huge), { code: 'limit-exceeded' });
    assert.throws(() => createFrameReader()(Buffer.from('\0\0\0\x02{}')), { code: 'protocol-violation' });
  });

  it('recognises a refused dial however deep it is wrapped', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    assert.ok(isRefusal(refused));
    assert.ok(isRefusal(new Error('dial', { cause: new AggregateError([new Error('other'), refused]) })));
    assert.ok(!isRefusal(new Error('timeout')));
    assert.ok(!isRefusal('ECONNREFUSED'));
  });
});

describe('pre-shared key', () => {
  it('is the same for the same secret and in the form that libp2p reads', async () => {
    const key = Buffer.from(await derivePreSharedKey('secret')).toString();
    assert.match(key, /^\/key\/swarm\/psk\/1\.0\.0\/\n\/base16\/\n[0-9a-f]{64}$/);
    assert.equal(key, Buffer.from(await derivePreSharedKey('secret')).toString());
    assert.notEqual(key, Buffer.from(await derivePreSharedKey('Secret')).toString());
  });
});
