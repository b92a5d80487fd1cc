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
  /** Keep `Connection` and `Upgrade`: for a hijack. `Transfer-Encoding` stays too, because its bytes pass raw. */
  readonly keepUpgrade: boolean;
}

export const toEngine: RequestHeaderRules = { keepSignature: false, keepUpgrade: false };
export const toEngineUpgrade: RequestHeaderRules = { keepSignature: false, keepUpgrade: true };

const upgradeHeaders = new Set(['connection', 'upgrade', 'transfer-encoding', 'expect']);

/** The request headers that travel on. */
export function requestHeaders(raw: readonly string[], rules: RequestHeaderRules): string[] {
  const nominated = nominatedBy(raw);
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? '';
    if (passes(name.toLowerCase(), nominated, rules)) kept.push(name, raw[i + 1] ?? '');
  }
  return kept;
}

function passes(
  name: string,
  nominated: ReadonlySet<string> | undefined,
  rules: RequestHeaderRules,
): boolean {
  if (rules.keepUpgrade && upgradeHeaders.has(name)) return true;
  if (hopByHop.has(name) || endsHere.has(name)) return false;
  if (name.startsWith(portainerPrefix)) return rules.keepSignature && signatureHeaders.has(name);
  if (name.startsWith(flotillaHeaderPrefix)) return false;
  return nominated === undefined || !nominated.has(name);
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

/** The answer headers that travel back, behind the ones given. Latin-1, as undici's raw headers are. */
export function answerHeaders(raw: readonly Buffer[], added: readonly string[]): string[] {
  const kept = added.slice();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]?.toString('latin1') ?? '';
    if (!hopByHop.has(name.toLowerCase())) kept.push(name, raw[i + 1]?.toString('latin1') ?? '');
  }
  return kept;
}
