// Signs, opens and bounds member records: what a member says of itself, readable by all, written only by its own key.
// A record is kept and passed on as the exact text that was signed, so that fields unknown here survive the relay.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { isIP } from 'node:net';
import type { SwarmRole } from '../docker/docker.ts';
import { AgentError, toAgentError } from '../errors.ts';
import type { MemberRecord } from './cluster.ts';
import { compareVersions } from './membership.ts';
import { parsePeerId, toPeerId } from './peer-id.ts';

/** A record as it travels. */
export interface SignedText {
  readonly text: string;
  /** Ed25519 over `signingContext` and the text, base64. */
  readonly signature: string;
}

/** A record whose signature and fields were checked. */
export interface SignedRecord extends SignedText {
  readonly record: MemberRecord;
  /** The member says goodbye with this version of its record; only it can. */
  readonly leaving: boolean;
  /** Id of the Swarm, known to managers only. Two different ones never mix. */
  readonly swarmId: string | undefined;
}

export interface RecordBody {
  readonly record: MemberRecord;
  readonly leaving: boolean;
  readonly swarmId: string | undefined;
}

export interface Identity {
  readonly peerId: string;
  /** The 32-byte seed of the Ed25519 key. */
  readonly seed: Uint8Array;
  readonly privateKey: KeyObject;
}

/** Keeps a signature over a record from meaning anything elsewhere, and the reverse. */
export const signingContext = 'flotilla member record v1\n';

/** A record is some 700 bytes. */
export const maxRecordBytes = 2048;

/**
 * A start later than this, by the reader's own wall clock, is refused: a hundred years. A clock that was never set
 * (1970) still reads today's records, and from the latest one that anybody accepts there is still room to count on.
 */
export const maxGenerationAheadMs = 3_155_760_000_000;

/** A host name has at most 253 characters. */
const maxFieldLength = 255;
const signatureBytes = 64;
/** DER of a PKCS #8 Ed25519 private key up to its 32-byte seed (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
/** DER of an Ed25519 SubjectPublicKeyInfo up to its 32-byte key (RFC 8410). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

export function createIdentity(seed: Uint8Array): Identity {
  const der = Buffer.concat([pkcs8Prefix, seed]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { peerId: toPeerId(spki.subarray(spkiPrefix.length)), seed, privateKey };
}

export function signRecord(body: RecordBody, identity: Identity): SignedRecord {
  const text = JSON.stringify({ ...body.record, leaving: body.leaving, swarmId: body.swarmId });
  const signature = sign(null, Buffer.from(signingContext + text), identity.privateKey).toString('base64');
  return { ...body, text, signature };
}

/**
 * Throws `protocol-violation` for a malformed record, `member-untrusted` for one that its key did not sign. `known` is
 * what was opened before for an engine: the same text is not verified twice, and what is no newer is not verified at
 * all and undefined, since it could change nothing. Verification is most of what a busy cluster costs. `wallMs` is the
 * reader's wall clock, which bounds the generation.
 */
export function openRecord(
  signed: SignedText,
  known: (engineId: string) => SignedRecord | undefined,
  wallMs: number,
): SignedRecord | undefined {
  if (Buffer.byteLength(signed.text) > maxRecordBytes) {
    throw new AgentError('limit-exceeded', `open member record: more than ${maxRecordBytes} bytes`);
  }
  const body = parseBody(signed.text);
  const before = known(body.record.engineId);
  if (before?.text === signed.text && before.signature === signed.signature) return before;
  if (before !== undefined && compareVersions(body.record, before.record) !== 'newer') return undefined;
  if (body.record.generation > wallMs + maxGenerationAheadMs) throw fault('generation', 'a credible start');
  const key = createPublicKey({
    key: Buffer.concat([spkiPrefix, parsePeerId(body.record.peerId)]),
    format: 'der',
    type: 'spki',
  });
  const signature = Buffer.from(signed.signature, 'base64');
  const genuine =
    signature.length === signatureBytes &&
    verify(null, Buffer.from(signingContext + signed.text), key, signature);
  if (!genuine) {
    throw new AgentError('member-untrusted', `open member record of ${body.record.peerId}: wrong signature`);
  }
  return { ...body, text: signed.text, signature: signed.signature };
}

function parseBody(text: string): RecordBody {
  const fields = parseFields(text);
  const record: MemberRecord = {
    peerId: textField(fields, 'peerId'),
    nodeName: textField(fields, 'nodeName'),
    nodeId: textField(fields, 'nodeId'),
    engineId: textField(fields, 'engineId'),
    role: roleField(fields),
    leader: flagField(fields, 'leader'),
    engineVersion: textField(fields, 'engineVersion'),
    apiVersion: textField(fields, 'apiVersion'),
    minApiVersion: textField(fields, 'minApiVersion'),
    agentVersion: textField(fields, 'agentVersion'),
    address: addressField(fields),
    apiPort: portField(fields, 'apiPort'),
    peerPort: portField(fields, 'peerPort'),
    gossipPort: portField(fields, 'gossipPort'),
    tlsFingerprint: fingerprintField(fields),
    generation: countField(fields, 'generation'),
    incarnation: countField(fields, 'incarnation'),
    edgeKeySet: flagField(fields, 'edgeKeySet'),
  };
  const swarmId = fields.swarmId === undefined ? undefined : textField(fields, 'swarmId');
  return { record, leaving: flagField(fields, 'leaving'), swarmId };
}

type Fields = Readonly<Record<string, unknown>>;

function parseFields(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fault('body', 'an object');
    return { ...value };
  } catch (error) {
    throw toAgentError(error, 'protocol-violation', 'open member record');
  }
}

function fault(field: string, expected: string): AgentError {
  return new AgentError('protocol-violation', `open member record: ${field} is not ${expected}`);
}

/** Printable, not empty: names reach logs, headers and file names. */
function textField(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '' || value.length > maxFieldLength) throw fault(name, 'a text');
  if (!/^[\x20-\x7e]*$/.test(value)) throw fault(name, 'printable ASCII');
  return value;
}

function flagField(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== 'boolean') throw fault(name, 'a boolean');
  return value;
}

function countField(fields: Fields, name: string): number {
  const value = fields[name];
  // What is counted on stays exact.
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > maxCount) {
    throw fault(name, 'a count');
  }
  return value;
}

const maxCount = 2 ** 52;

function portField(fields: Fields, name: string): number {
  const value = countField(fields, name);
  if (value < 1 || value > 65_535) throw fault(name, 'a port');
  return value;
}

function roleField(fields: Fields): SwarmRole | undefined {
  const value = fields.role;
  if (value === undefined || value === 'manager' || value === 'worker') return value;
  throw fault('role', 'manager or worker');
}

function addressField(fields: Fields): string {
  const value = textField(fields, 'address');
  if (isIP(value) === 0) throw fault('address', 'a literal IP address');
  return value;
}

function fingerprintField(fields: Fields): string {
  const value = textField(fields, 'tlsFingerprint');
  if (!/^[0-9a-f]{64}$/.test(value)) throw fault('tlsFingerprint', '64 lower-case hex digits');
  return value;
}
