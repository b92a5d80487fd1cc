// Member records: signed by an independent implementation, opened by ours, and refused in every bent form.

import assert from 'node:assert/strict';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import nacl from 'tweetnacl';
import { sampleRecord } from '../../test/support/member-record.ts';
import type { MemberRecord } from './cluster.ts';
import { parsePeerId, toPeerId } from './peer-id.ts';
import {
  createIdentity,
  maxGenerationAheadMs,
  maxRecordBytes,
  openRecord,
  signingContext,
  signRecord,
} from './record.ts';

const seed = Buffer.alloc(32, 7);
const keys = nacl.sign.keyPair.fromSeed(seed);
const record: MemberRecord = {
  ...sampleRecord,
  peerId: toPeerId(keys.publicKey),
  nodeName: 'node-1',
  leader: true,
  generation: 1_800_000_000_000,
  incarnation: 3,
};
const nowMs = record.generation;
const unknown = (): undefined => undefined;

/** Signs any text with tweetnacl, as a member of another make would. */
function signText(text: string): { text: string; signature: string } {
  const signature = nacl.sign.detached(Buffer.from(signingContext + text), keys.secretKey);
  return { text, signature: Buffer.from(signature).toString('base64') };
}

function signFields(changes: Record<string, unknown>): { text: string; signature: string } {
  return signText(JSON.stringify({ ...record, leaving: false, ...changes }));
}

describe('member record', () => {
  it('opens what tweetnacl signed, and tweetnacl verifies what we signed', () => {
    assert.deepEqual(openRecord(signFields({}), unknown, nowMs)?.record, record);
    const ours = signRecord({ record, leaving: true, swarmId: 'swarm-1' }, createIdentity(seed));
    const message = Buffer.from(signingContext + ours.text);
    assert.ok(nacl.sign.detached.verify(message, Buffer.from(ours.signature, 'base64'), keys.publicKey));
    const opened = openRecord(ours, unknown, nowMs);
    assert.equal(opened?.leaving, true);
    assert.equal(opened?.swarmId, 'swarm-1');
  });

  it('names the identity as libp2p does', async () => {
    const theirs = await generateKeyPairFromSeed('Ed25519', seed);
    assert.equal(createIdentity(seed).peerId, theirs.publicKey.toString());
    assert.deepEqual(parsePeerId(theirs.publicKey.toString()), keys.publicKey);
  });

  it('keeps fields that it does not know in the text that it passes on', () => {
    const signed = signFields({ later: 'field' });
    assert.equal(openRecord(signed, unknown, nowMs)?.text, signed.text);
  });

  it('refuses a record that its own key did not sign', () => {
    const other = nacl.sign.keyPair.fromSeed(Buffer.alloc(32, 9));
    const stolen = signFields({ peerId: toPeerId(other.publicKey) });
    assert.throws(() => openRecord(stolen, unknown, nowMs), { code: 'member-untrusted' });
    const signed = signFields({});
    const forged = { ...signed, text: signed.text.replace('"manager"', '"worker"') };
    assert.throws(() => openRecord(forged, unknown, nowMs), { code: 'member-untrusted' });
    assert.throws(() => openRecord({ ...signed, signature: '' }, unknown, nowMs), {
      code: 'member-untrusted',
    });
  });

  it('does not take a signature over the bare text, without our context', () => {
    const text = JSON.stringify({ ...record, leaving: false });
    const signature = Buffer.from(nacl.sign.detached(Buffer.from(text), keys.secretKey)).toString('base64');
    assert.throws(() => openRecord({ text, signature }, unknown, nowMs), { code: 'member-untrusted' });
  });

  it('verifies what is newer than what it knows, and ignores the rest', () => {
    const first = openRecord(signFields({}), unknown, nowMs);
    assert.ok(first !== undefined);
    assert.equal(
      openRecord({ text: first.text, signature: first.signature }, () => first, nowMs),
      first,
    );
    const sameVersion = { text: first.text.replace('node-1', 'node-2'), signature: first.signature };
    assert.equal(
      openRecord(sameVersion, () => first, nowMs),
      undefined,
    );
    const newer = {
      text: first.text.replace('"incarnation":3', '"incarnation":4'),
      signature: first.signature,
    };
    assert.throws(() => openRecord(newer, () => first, nowMs), { code: 'member-untrusted' });
    assert.equal(openRecord(signFields({ incarnation: 4 }), () => first, nowMs)?.record.incarnation, 4);
    assert.equal(
      openRecord(signFields({ incarnation: 2 }), () => first, nowMs),
      undefined,
    );
  });

  const bad: readonly (readonly [string, Record<string, unknown>])[] = [
    ['no node name', { nodeName: '' }],
    ['a line break in the node name', { nodeName: 'node\r\nSet-Cookie: x' }],
    ['a node name that is no text', { nodeName: 7 }],
    ['a node name of 256 characters', { nodeName: 'n'.repeat(256) }],
    ['a host name as address', { address: 'example.org' }],
    ['another role', { role: 'admin' }],
    ['a port of 0', { peerPort: 0 }],
    ['a port of 65536', { apiPort: 65_536 }],
    ['a negative generation', { generation: -1 }],
    ['a generation without a successor', { generation: 2 ** 53 }],
    ['a start of more than a century ahead', { generation: nowMs + maxGenerationAheadMs + 1 }],
    ['a fractional incarnation', { incarnation: 0.5 }],
    ['an upper-case fingerprint', { tlsFingerprint: 'AB'.repeat(32) }],
    ['a leader that is no boolean', { leader: 'yes' }],
    ['a peer id of another kind', { peerId: 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N' }],
    ['a peer id with a second spelling', { peerId: `1${record.peerId}` }],
  ];
  for (const [what, changes] of bad) {
    it(`refuses ${what}, although it is signed`, () => {
      assert.throws(() => openRecord(signFields(changes), unknown, nowMs), { code: 'protocol-violation' });
    });
  }

  it('reads a start of a century ahead, also where the clock was never set', () => {
    const generation = nowMs + maxGenerationAheadMs;
    assert.equal(openRecord(signFields({ generation }), unknown, nowMs)?.record.generation, generation);
    assert.deepEqual(openRecord(signFields({}), unknown, 0)?.record, record);
  });

  it('refuses what is no object, no JSON, or too large', () => {
    for (const text of ['[]', 'null', '7', '{', '']) {
      assert.throws(() => openRecord(signText(text), unknown, nowMs), { code: 'protocol-violation' });
    }
    const large = signFields({ later: 'x'.repeat(maxRecordBytes) });
    assert.throws(() => openRecord(large, unknown, nowMs), { code: 'limit-exceeded' });
  });
});
