// Reads what is needed of one event, and names its node in it, without touching any other byte. Pure.

import { nodeLabel } from '../endpoint/placement.ts';
import { isKey, skipSpace, violation, walkMembers } from '../json-scan.ts';

export interface EngineEvent {
  /** The object as the engine wrote it, without what stood around it. */
  readonly bytes: Buffer;
  readonly type: string;
  readonly action: string;
  readonly actorId: string;
  /** The attribute `name`, empty where there is none. */
  readonly actorName: string;
  /** True for what happened to the swarm, which every manager tells. */
  readonly ofSwarm: boolean;
  /** Undefined where the event has no time, which no engine's lacks. */
  readonly timeNs: bigint | undefined;
  readonly place: Place;
}

/** Where the node's name goes: in place of the bytes between, with this around it. */
interface Place {
  readonly from: number;
  readonly to: number;
  readonly before: string;
  readonly after: string;
}

/** Throws `protocol-violation` for what is no event. */
export function readEvent(bytes: Buffer): EngineEvent {
  const texts = { type: '', action: '', scope: '' };
  let time = '';
  let timeNano = '';
  const found: { actor?: Range } = {};
  const end = walkMembers(bytes, 0, (keyStart, keyEnd, from, to) => {
    if (isKey(bytes, keyStart, keyEnd, keys.type)) texts.type = textAt(bytes, from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.action)) texts.action = textAt(bytes, from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.scope)) texts.scope = textAt(bytes, from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.time)) time = bytes.toString('latin1', from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.timeNano)) timeNano = bytes.toString('latin1', from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.actor)) found.actor = { from, to };
  });
  if (end !== bytes.length) throw violation('bytes behind the event', end);
  const { type, action, scope } = texts;
  const ofSwarm = scope === 'swarm';
  return { bytes, type, action, ofSwarm, timeNs: timeOf(timeNano, time), ...readActor(bytes, found.actor) };
}

/** The event as a client gets it. */
export function withNode({ bytes, place }: EngineEvent, nodeName: string): Buffer {
  const { from, to, before, after } = place;
  const name = Buffer.from(`${before}${JSON.stringify(nodeName)}${after}`);
  return Buffer.concat([bytes.subarray(0, from), name, bytes.subarray(to)]);
}

interface Range {
  readonly from: number;
  readonly to: number;
}

type ActorFacts = Pick<EngineEvent, 'actorId' | 'actorName' | 'place'>;

function readActor(bytes: Buffer, actor: Range | undefined): ActorFacts {
  if (actor === undefined || isNull(bytes, actor)) {
    const place = placeOf(bytes, { from: 0, to: bytes.length }, actor, '"Actor":', [
      `{"Attributes":{${nodeKey}:`,
      '}}',
    ]);
    return { actorId: '', actorName: '', place };
  }
  let actorId = '';
  const found: { attributes?: Range } = {};
  walkMembers(bytes, actor.from, (keyStart, keyEnd, from, to) => {
    if (isKey(bytes, keyStart, keyEnd, keys.id)) actorId = textAt(bytes, from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.attributes)) found.attributes = { from, to };
  });
  return { actorId, ...readAttributes(bytes, actor, found.attributes) };
}

function readAttributes(
  bytes: Buffer,
  actor: Range,
  attributes: Range | undefined,
): Omit<ActorFacts, 'actorId'> {
  if (attributes === undefined || isNull(bytes, attributes)) {
    const place = placeOf(bytes, actor, attributes, '"Attributes":', [`{${nodeKey}:`, '}']);
    return { actorName: '', place };
  }
  let actorName = '';
  const found: { label?: Range } = {};
  walkMembers(bytes, attributes.from, (keyStart, keyEnd, from, to) => {
    if (isKey(bytes, keyStart, keyEnd, keys.name)) actorName = textAt(bytes, from, to);
    else if (isKey(bytes, keyStart, keyEnd, keys.node)) found.label = { from, to };
  });
  return { actorName, place: placeOf(bytes, attributes, found.label, `${nodeKey}:`, ['', '']) };
}

/** In place of the value that is there, else as the last member of `parent`. */
function placeOf(
  bytes: Buffer,
  parent: Range,
  value: Range | undefined,
  key: string,
  [before, after]: readonly [string, string],
): Place {
  if (value !== undefined) return { ...value, before, after };
  const at = parent.to - 1;
  const isEmpty = skipSpace(bytes, parent.from + 1) === at;
  return { from: at, to: at, before: `${isEmpty ? '' : ','}${key}${before}`, after };
}

/** Empty for a value that is no string. Strings are read only of what the engine itself names. */
function textAt(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('utf8', from, to);
  if (!text.startsWith('"')) return '';
  try {
    return String(JSON.parse(text));
  } catch {
    throw violation('a broken string', from);
  }
}

function isNull(bytes: Buffer, { from, to }: Range): boolean {
  return bytes.toString('latin1', from, to) === 'null';
}

/** Never through a double: nanoseconds since 1970 are beyond 2^53. */
function timeOf(timeNano: string, time: string): bigint | undefined {
  if (whole.test(timeNano)) return BigInt(timeNano);
  return whole.test(time) ? BigInt(time) * 1_000_000_000n : undefined;
}

/** An int64 at most. */
const whole = /^-?\d{1,19}$/;
/** Attributes hold the labels, too: one of this name gives way, so that it can be trusted. */
const nodeKey = JSON.stringify(nodeLabel);
const keys = {
  type: Buffer.from('"Type"'),
  action: Buffer.from('"Action"'),
  scope: Buffer.from('"scope"'),
  time: Buffer.from('"time"'),
  timeNano: Buffer.from('"timeNano"'),
  actor: Buffer.from('"Actor"'),
  id: Buffer.from('"ID"'),
  attributes: Buffer.from('"Attributes"'),
  name: Buffer.from('"name"'),
  node: Buffer.from(nodeKey),
};
