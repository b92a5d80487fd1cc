// Makes fields safe to write into a log: nothing secret, no control characters, nothing endless. Pure.
// The last line of defence: modules do not log secrets in the first place.

import type { LogFields } from '../log.ts';

export const redacted = '(redacted)';

/** How deep the fields of a log line are followed. */
const maxDepth = 5;
/** Items of a list, or members of an object, that a log line keeps. */
const maxItems = 64;
/** Characters of a text that a log line keeps. */
const maxTextChars = 2_000;

/** Field and header names whose values are never written, without case, dashes and underscores. */
const secretNames: ReadonlySet<string> = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'xregistryauth',
  'xregistryconfig',
  'xportaineragentpublickey',
  'xportaineragentsignature',
  'signature',
  'publickey',
  'publickeyhex',
  'privatekey',
  'key',
  'edgekey',
  'psk',
  'secret',
  'agentsecret',
  'clustersecret',
  'password',
  'passwd',
  'token',
  'identitytoken',
  'registrytoken',
  'jointoken',
  'unlockkey',
  'credential',
  'credentials',
]);

const secretParameters = /([?&](?:[a-z-]*(?:token|secret|password|signature|auth|key)[a-z-]*)=)[^&#\s"]*/gi;
const urlCredentials = /(\/\/)[^/@\s"]+@/g;
/** C0, DEL, C1 (a terminal may take U+009B for an escape sequence), line separators and direction overrides. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject
const unsafeChars = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

export function redactFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [safeText(name), redact(name, value, 0)]),
  );
}

/** One line, whatever it was made of. */
export function safeText(text: string): string {
  const short = text.length > maxTextChars ? `${text.slice(0, maxTextChars)}…` : text;
  return short
    .replace(secretParameters, `$1${redacted}`)
    .replace(urlCredentials, `$1${redacted}@`)
    .replace(unsafeChars, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function isSecret(name: string): boolean {
  return secretNames.has(name.toLowerCase().replaceAll(/[-_]/g, ''));
}

function redact(name: string, value: unknown, depth: number): unknown {
  if (isSecret(name)) return value === undefined ? undefined : redacted;
  if (typeof value === 'string') return safeText(value);
  if (value instanceof Error) return safeText(describe(value));
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= maxDepth) return '(too deep)';
  if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
  if (Array.isArray(value)) return redactList(value, depth);
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, maxItems)
      .map(([inner, item]) => [safeText(inner), redact(inner, item, depth + 1)]),
  );
}

/** Headers travel as flat lists of name, value: what follows a secret name is its value. */
function redactList(list: readonly unknown[], depth: number): readonly unknown[] {
  return list.slice(0, maxItems).map((item, index) => {
    const before = list[index - 1];
    return redact(typeof before === 'string' ? before : '', item, depth + 1);
  });
}

/** An error with its causes, outermost first. */
function describe(error: Error): string {
  const messages: string[] = [];
  for (
    let current: unknown = error;
    current instanceof Error && messages.length < maxDepth;
    current = current.cause
  ) {
    messages.push(current.message);
  }
  return messages.join(' <- ');
}
