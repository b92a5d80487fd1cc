// Decides which headers pass on, and which end here. Pure; works on Node's flat name, value lists so that order,
// spelling and duplicates survive.

import { flotillaHeaderPrefix, portainerHeaders } from '../wire.ts';

/** RFC 9110 section 7.6.1, and the older ones that proxies still meet. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Credentials and steering that a browser or Portainer sends to us, never to an engine (agent-api.md Q18). */
const endsHere = new Set(['authorization', 'cookie', 'expect', 'x-csrf-token']);

/** `Connection` may nominate hop-by-hop headers; a client must not use that to strip what frames or authorises. */
const neverNominated = new Set([
  'content-length',
  'content-type',
  'host',
  'x-registry-auth',
  'x-registry-config',
]);

const portainerPrefix = 'x-portaineragent-';
const signatureHeaders = new Set<string>([portainerHeaders.publicKey, portainerHeaders.signature]);

export interface RequestHeaderRules {
  /** Keep the client's signature: for a peer that has to verify it itself, in a cluster without a secret. */
  readonly keepSignature: boolean;
  /** Keep `Connection` and `Upgrade`: for a hijack. */
  readonly keepUpgrade: boolean;
}

export const toEngine: RequestHeaderRules = { keepSignature: false, keepUpgrade: false };
export const toEngineUpgrade: RequestHeaderRules = { keepSignature: false, keepUpgrade: true };

const isEnded = nameTest([...hopByHop, ...endsHere]);
const upgradeHeaders = new Set(['connection', 'upgrade', 'expect']);

/** The request headers that travel on. */
export function requestHeaders(raw: readonly string[], rules: RequestHeaderRules): string[] {
  const nominated = nominatedBy(raw);
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    if (passes(name, nominated, rules)) kept.push(name, raw[i + 1] ?? '');
  }
  return kept;
}

function passes(
  name: string,
  nominated: ReadonlySet<string> | undefined,
  rules: RequestHeaderRules,
): boolean {
  if (rules.keepUpgrade && upgradeHeaders.has(name.toLowerCase())) return true;
  if (isEnded(name)) return false;
  if (isPrefixed(name)) {
    const lower = name.toLowerCase();
    if (lower.startsWith(portainerPrefix)) return rules.keepSignature && signatureHeaders.has(lower);
    if (lower.startsWith(flotillaHeaderPrefix)) return false;
  }
  return nominated === undefined || !nominated.has(name.toLowerCase());
}

/** Whether it may begin with a prefix of ours; most do not, and need no copy in lower case. */
function isPrefixed(name: string): boolean {
  const first = name.charCodeAt(0) | 0x20;
  return first === portainerPrefix.charCodeAt(0) || first === flotillaHeaderPrefix.charCodeAt(0);
}

/** Names that `Connection` lists besides `close`, `keep-alive` and `upgrade`; undefined when there are none. */
function nominatedBy(raw: readonly string[]): ReadonlySet<string> | undefined {
  let nominated: Set<string> | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue;
    for (const item of (raw[i + 1] ?? '').toLowerCase().split(',')) {
      const token = item.trim();
      if (token === '' || hopByHop.has(token) || neverNominated.has(token)) continue;
      nominated ??= new Set();
      nominated.add(token);
    }
  }
  return nominated;
}

/** The answer headers that travel back, behind the ones given, which replace the upstream's of the same name. */
export function answerHeaders(raw: readonly string[], added: readonly string[]): string[] {
  const isDropped = droppedBeside(added);
  const kept = added.slice();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    if (!isDropped(name)) kept.push(name, raw[i + 1] ?? '');
  }
  return kept;
}

/** By the list itself: a listener has one for its whole life, so that an answer costs no more than without it. */
const dropped = new WeakMap<readonly string[], NameTest>();

/** What does not pass beside these added ones: those names themselves, and the hop-by-hop ones. */
function droppedBeside(added: readonly string[]): NameTest {
  let test = dropped.get(added);
  if (test === undefined) {
    test = nameTest([...hopByHop, ...namesOf(added)]);
    dropped.set(added, test);
  }
  return test;
}

/** The names of a flat list, in lower case. */
export function namesOf(flat: readonly string[]): Set<string> {
  return new Set(flat.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
}

type NameTest = (name: string) => boolean;

/**
 * Whether a name is one of these, in any spelling. Looks at the length first: for a fresh string, lower case and hash
 * cost more than everything else that is done with a header, and few names have a length that matters.
 */
function nameTest(lowerCase: Iterable<string>): NameTest {
  const names = new Set(lowerCase);
  let lengths = 0;
  for (const { length } of names) lengths |= lengthBit(length);
  return (name) => (lengths & lengthBit(name.length)) !== 0 && names.has(name.toLowerCase());
}

function lengthBit(length: number): number {
  return 1 << Math.min(length, 31);
}

/** The first value of a header, by its lower-case name, in a flat name, value list. */
export function headerValue(flat: readonly string[], wanted: string): string | undefined {
  const at = flat.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === wanted);
  return at === -1 ? undefined : flat[at + 1];
}
