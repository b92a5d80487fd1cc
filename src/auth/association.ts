// The association of Portainer's key as a value that agents exchange, and the rule that settles two of them.
// Pure. `settle` is commutative, associative and idempotent, so that every agent ends with the same one.

import { AgentError } from '../errors.ts';

export interface Association {
  /** Raised by each `forget`; the higher epoch wins, so that a forgotten key cannot return from a peer. */
  readonly epoch: number;
  readonly key: AssociatedKey | undefined;
}

export interface AssociatedKey {
  /** Lower-case hex of the DER SubjectPublicKeyInfo. */
  readonly publicKeyHex: string;
  /** Wall clock of the association, milliseconds. */
  readonly associatedAtMs: number;
  /** Name of the node that associated it. */
  readonly by: string;
}

export const unassociated: Association = { epoch: 0, key: undefined };

/** A P-521 key takes 316 hex digits; nothing longer is a key that Portainer or anybody else signs with. */
const maxPublicKeyHexLength = 1024;
const maxNodeNameLength = 255;
/** One a `forget`: far more than anybody asks for, and far from where adding one no longer counts. */
const maxEpoch = 1_000_000_000;

/** Higher epoch; then a key over none; then the older key; then the smaller one. */
export function settle(a: Association, b: Association): Association {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b;
  if (a.key === undefined || b.key === undefined) return a.key === undefined ? b : a;
  if (a.key.associatedAtMs !== b.key.associatedAtMs)
    return a.key.associatedAtMs < b.key.associatedAtMs ? a : b;
  return a.key.publicKeyHex <= b.key.publicKeyHex ? a : b;
}

export function isSameAssociation(a: Association, b: Association): boolean {
  return (
    a.epoch === b.epoch &&
    a.key?.publicKeyHex === b.key?.publicKeyHex &&
    a.key?.associatedAtMs === b.key?.associatedAtMs
  );
}

/** Reads what `JSON.stringify` of an association wrote, from disk or a peer. Throws `protocol-violation`. */
export function parseAssociation(text: string): Association {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AgentError('protocol-violation', 'parse association: not json', { cause: error });
  }
  if (!isRecord(value) || !isCount(value.epoch) || value.epoch > maxEpoch) throw violation('epoch');
  if (value.key === undefined) return { epoch: value.epoch, key: undefined };
  if (!isRecord(value.key)) throw violation('key');
  const { publicKeyHex, associatedAtMs, by } = value.key;
  if (typeof publicKeyHex !== 'string' || !isKeyHex(publicKeyHex)) throw violation('public key');
  if (!isCount(associatedAtMs)) throw violation('time');
  if (typeof by !== 'string' || by.length > maxNodeNameLength) throw violation('node name');
  return { epoch: value.epoch, key: { publicKeyHex, associatedAtMs, by } };
}

function isKeyHex(text: string): boolean {
  return text.length <= maxPublicKeyHexLength && /^(?:[0-9a-f]{2})+$/.test(text);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function violation(what: string): AgentError {
  return new AgentError('protocol-violation', `parse association: ${what} is missing or malformed`);
}
