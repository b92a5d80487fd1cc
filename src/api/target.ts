// Parses a request target strictly, without `new URL`: canonical origin form, or `request-invalid`.
// Keeps the raw bytes beside the decoded path, so that what was classified is what is forwarded (attacks ).

import { AgentError } from '../errors.ts';

export interface Target {
  /** The path as it came, without version prefix and query, escapes untouched; empty for exactly `/v1.41`. */
  readonly rawPath: string;
  /** `rawPath` percent-decoded once. */
  readonly path: string;
  /** With the question mark; empty when there is none. */
  readonly query: string;
  /** The version prefix that was removed, such as `v1.41`; undefined when there was none. */
  readonly version: string | undefined;
  /** False when the path has empty or dot segments; only the agent's own routers answer those, with a 301. */
  readonly canonical: boolean;
}

/** The engine's own bound is Go's 1 MiB for all headers; a target beyond this helps nobody. */
export const maxTargetBytes: number = 64 * 1024;

/** First segments below which a name may hold an encoded slash (`images/my%2Frepo/json`, engine-api.md 1.4). */
const slashNames = new Set(['images', 'distribution', 'plugins']);

// One version, once, at the start (agent-api.md Q17); two-digit majors stay, as the original has it.
const versionPrefix = /^\/(v\d\.\d*)(?=\/|$)/;
// The engine takes any digits and dots behind `/v` for a version and strips them, so that `/v1.41.0/info` runs there as
// `/info` though it was classified as something else. Left over may only be what it answers with a refusal: a bare
// major, and majors from ten (attack A-12).
const engineVersionPrefix = /^\/v([0-9.]+)(?=\/|$)/;
const refusedByEngine = /^(?:\d|[1-9]\d+(?:\.\d+)?)$/;
const plainPath = /^[A-Za-z0-9/_.:@,~*!$&'()+;=-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is refused here
const forbiddenRaw = /[\u0000-\u0020\u007f-\uffff#]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const forbiddenDecoded = /[\u0000-\u001f\u007f\\]/;
// Letters, digits, and the marks that never need an escape: encoded, they only serve to slip past a comparison.
const encodedUnreserved = /%(?:3[0-9]|[46][1-9a-f]|[57][0-9a]|2[de]|5f)/i;

/** Throws `request-invalid` with what is wrong; the raw target is not repeated in the message. */
export function parseTarget(raw: string): Target {
  if (raw.length > maxTargetBytes) throw invalid(`longer than ${maxTargetBytes} bytes`);
  if (raw.charCodeAt(0) !== 0x2f) throw invalid('not in origin form');
  const mark = raw.indexOf('?');
  const fullPath = mark === -1 ? raw : raw.slice(0, mark);
  const query = mark === -1 ? '' : raw.slice(mark);
  if (query !== '' && forbiddenRaw.test(query))
    throw invalid('control character, space, `#` or non-ASCII in the query');

  const version = versionPrefix.exec(fullPath)?.[1];
  const rawPath = version === undefined ? fullPath : fullPath.slice(version.length + 1);
  const leftOver = engineVersionPrefix.exec(rawPath)?.[1];
  if (leftOver !== undefined && !refusedByEngine.test(leftOver))
    throw invalid('a version that is none, or a second one');
  if (rawPath === '') return { rawPath, path: '', query, version, canonical: true };
  const path = plainPath.test(rawPath) ? rawPath : decodePath(rawPath);
  return { rawPath, path, query, version, canonical: cleanPath(path) === path };
}

function decodePath(rawPath: string): string {
  if (forbiddenRaw.test(rawPath) || rawPath.includes('\\')) {
    throw invalid('control character, space, backslash, `#` or non-ASCII in the path');
  }
  if (encodedUnreserved.test(rawPath)) throw invalid('needlessly encoded letter, digit, dot or dash');
  const [, first = '', ...rest] = rawPath.split('/');
  if (first.includes('%')) throw invalid('escape in a fixed segment');
  if (!slashNames.has(first) && rest.some((segment) => /%2f/i.test(segment))) throw invalid('encoded slash');
  const path = decodeUtf8(rawPath);
  if (forbiddenDecoded.test(path)) throw invalid('encoded control character or backslash');
  return path;
}

function decodeUtf8(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new AgentError('request-invalid', 'parse request target: malformed escape', { cause: error });
  }
}

/** The path as Go's `path.Clean` gives it, trailing slash kept. */
export function cleanPath(path: string): string {
  if (!path.includes('//') && !path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.' && segment !== '') kept.push(segment);
  }
  const slash = kept.length > 0 && segments.at(-1) === '' ? '/' : '';
  return `/${kept.join('/')}${slash}`;
}

function invalid(reason: string): AgentError {
  return new AgentError('request-invalid', `parse request target: ${reason}`);
}

/**
 * Whether a request turns its connection into a raw pipe. A target that does not parse is no hijack: the gate refuses it
 * like any other. Asked for every request, so that the common ones are told apart without parsing.
 */
export function isHijack(
  streamClassOf: (method: string, path: string) => string,
  method: string,
  target: string,
  upgrade: string | undefined,
): boolean {
  if (method !== 'POST' && upgrade === undefined) return false;
  try {
    return streamClassOf(method, parseTarget(target).path) === 'hijack';
  } catch {
    return false;
  }
}
