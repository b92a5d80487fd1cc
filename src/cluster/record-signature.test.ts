// Signatures of member records against an independent Ed25519 implementation, in both directions.

import assert from 'node:assert/strict';
import nacl from 'tweetnacl';
import { sampleRecord } from '../../test/support/member-record.ts';
import { AgentError } from '../errors.ts';
import type { MemberRecord } from './cluster.ts';
import { createIdentity, openRecord, signingContext, signRecord } from './record.ts';

const seed = new Uint8Array(32).fill(7);
const pair = nacl.sign.keyPair.fromSeed(seed);
const identity = createIdentity(seed);

const record: MemberRecord = { ...sampleRecord, peerId: identity.peerId };
const body = { record, leaving: false, swarmId: undefined };

function messageOf(text: string): Uint8Array {
  return new TextEncoder().encode(signingContext + text);
}

describe('signature of a member record', () => {
  it('is accepted by another implementation', () => {
    const { text, signature } = signRecord(body, identity);
    assert.ok(nacl.sign.detached.verify(messageOf(text), Buffer.from(signature, 'base64'), pair.publicKey));
  });

  it('is accepted from another implementation, and not for another text or by another key', () => {
    const { text } = signRecord(body, identity);
    const signed = (message: Uint8Array, secretKey: Uint8Array) => ({
      text,
      signature: Buffer.from(nacl.sign.detached(message, secretKey)).toString('base64'),
    });
    const opened = openRecord(signed(messageOf(text), pair.secretKey), () => undefined, 0);
    assert.deepEqual(opened?.record, record);
    const stranger = nacl.sign.keyPair.fromSeed(new Uint8Array(32).fill(8));
    for (const forged of [
      signed(messageOf(`${text} `), pair.secretKey),
      signed(new TextEncoder().encode(text), pair.secretKey),
      signed(messageOf(text), stranger.secretKey),
    ]) {
      assert.throws(
        () => openRecord(forged, () => undefined, 0),
        (error) => error instanceof AgentError && error.code === 'member-untrusted',
      );
    }
  });
});
