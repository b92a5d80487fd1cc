// The messages that members exchange, and their parsing from bytes that a stranger may have sent.
// Pure. A parsed message has the right shape; records inside it are still unopened (record.ts).

import { AgentError, toAgentError } from '../errors.ts';
import { deadMemoryMs } from './membership.ts';
import type { SignedText } from './record.ts';

/** Names one version of one member, as SWIM's suspect and confirm messages do. */
export interface Claim {
  readonly peerId: string;
  readonly generation: number;
  readonly incarnation: number;
}

export type EntryState = 'alive' | 'suspect' | 'dead' | 'left';

/** One line of the full state that two members exchange. */
export interface StateLine extends SignedText {
  readonly state: EntryState;
  /**
   * How long the sender has seen it in this state, at most `deadMemoryMs`: beyond, nothing is remembered. An age, not a
   * time: clocks differ.
   */
  readonly ageMs: number;
}

/** Sent to one member, which answers. */
export type Question =
  | { readonly kind: 'ping'; readonly suspect: Claim | undefined }
  | { readonly kind: 'ping-req'; readonly target: string }
  | { readonly kind: 'sync'; readonly lines: readonly StateLine[] };

export type Answer =
  /** `record` only when the ping told of a suspicion: the version that refutes it. */
  | { readonly kind: 'ack'; readonly hash: string; readonly record: SignedText | undefined }
  | { readonly kind: 'reached'; readonly reached: boolean }
  | { readonly kind: 'sync'; readonly lines: readonly StateLine[] };

/** Spread to all members by gossipsub. */
export type Rumor =
  | { readonly kind: 'records'; readonly records: readonly SignedText[] }
  | { readonly kind: 'suspect' | 'dead'; readonly claim: Claim }
  | { readonly kind: 'digest'; readonly hash: string };

/** A rumor of 24 records takes some 20 KiB. */
export const maxRumorBytes = 65_536;
/** Room for the full state of `maxMembers` members. */
export const maxAnswerBytes = 3_145_728;
/** Members known at once, the dead included; a Swarm of this size is far beyond what Docker supports. */
export const maxMembers = 1024;

/** The longest text in a message is a record of 2 KiB. */
const maxTextLength = 4096;

export function parseQuestion(value: unknown): Question {
  const fields = objectOf(value);
  switch (fields.kind) {
    case 'ping':
      return {
        kind: 'ping',
        suspect: fields.suspect === undefined ? undefined : claimOf(fields.suspect),
      };
    case 'ping-req':
      return { kind: 'ping-req', target: textOf(fields.target) };
    case 'sync':
      return { kind: 'sync', lines: listOf(fields.lines).map(lineOf) };
    default:
      throw malformed('kind of question');
  }
}

export function parseAnswer(value: unknown): Answer {
  const fields = objectOf(value);
  switch (fields.kind) {
    case 'ack': {
      const record = fields.record === undefined ? undefined : signedOf(fields.record);
      return { kind: 'ack', hash: textOf(fields.hash), record };
    }
    case 'reached':
      return { kind: 'reached', reached: fields.reached === true };
    case 'sync':
      return { kind: 'sync', lines: listOf(fields.lines).map(lineOf) };
    default:
      throw malformed('kind of answer');
  }
}

export function parseRumor(bytes: Uint8Array): Rumor {
  if (bytes.length > maxRumorBytes) throw new AgentError('limit-exceeded', 'parse rumor: too large');
  const fields = objectOf(parseJson(Buffer.from(bytes).toString()));
  switch (fields.kind) {
    case 'records':
      return { kind: 'records', records: listOf(fields.records).map(signedOf) };
    case 'suspect':
    case 'dead':
      return { kind: fields.kind, claim: claimOf(fields.claim) };
    case 'digest':
      return { kind: 'digest', hash: textOf(fields.hash) };
    default:
      throw malformed('kind of rumor');
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw toAgentError(error, 'protocol-violation', 'parse cluster message');
  }
}

function malformed(what: string): AgentError {
  return new AgentError('protocol-violation', `parse cluster message: bad ${what}`);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw malformed('object');
  return { ...value };
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value) || value.length > maxMembers) throw malformed('list');
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' || value.length > maxTextLength) throw malformed('text');
  return value;
}

function countOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed('count');
  return value;
}

function claimOf(value: unknown): Claim {
  const fields = objectOf(value);
  return {
    peerId: textOf(fields.peerId),
    generation: countOf(fields.generation),
    incarnation: countOf(fields.incarnation),
  };
}

function signedOf(value: unknown): SignedText {
  const fields = objectOf(value);
  return { text: textOf(fields.text), signature: textOf(fields.signature) };
}

function lineOf(value: unknown): StateLine {
  const fields = objectOf(value);
  const ageMs = Math.min(countOf(fields.ageMs), deadMemoryMs);
  return { ...signedOf(value), state: stateOf(fields.state), ageMs };
}

function stateOf(value: unknown): EntryState {
  if (value === 'alive' || value === 'suspect' || value === 'dead' || value === 'left') return value;
  throw malformed('state');
}
