// Reads query strings as the engine does (Go's url.ParseQuery and Docker's httputils), so that what we conclude from
// one is what the engine will. Pure. Pairs keep the bytes they came in.

export interface QueryPair {
  /** As it came, escapes untouched. */
  readonly raw: string;
  readonly name: string;
  readonly value: string;
}

/** The pairs of a query, with or without its question mark; undefined for one that the engine refuses with 400. */
export function parseQuery(query: string): readonly QueryPair[] | undefined {
  const text = query.startsWith('?') ? query.slice(1) : query;
  // Go takes a semicolon neither for a separator nor for a character.
  if (text.includes(';') || brokenEscape.test(text)) return undefined;
  return text
    .split('&')
    .filter((raw) => raw !== '')
    .map((raw) => {
      const equals = raw.indexOf('=');
      const [name, value] = equals === -1 ? [raw, ''] : [raw.slice(0, equals), raw.slice(equals + 1)];
      return { raw, name: decode(name), value: decode(value) };
    });
}

/** The value that the engine reads: that of the first pair of this name, empty where there is none. */
export function firstValue(pairs: readonly QueryPair[], name: string): string {
  return pairs.find((pair) => pair.name === name)?.value ?? '';
}

/** Docker's BoolValue: everything is true but these. */
export function isTrue(value: string): boolean {
  return !falseValues.has(value.trim().toLowerCase());
}

/** Whether a list with this target, or query, makes the engine walk file systems. */
export function countsBytes(target: string): boolean {
  const mark = target.indexOf('?');
  const pairs = mark === -1 ? undefined : parseQuery(target.slice(mark));
  return (
    pairs !== undefined && (isTrue(firstValue(pairs, 'size')) || isTrue(firstValue(pairs, 'shared-size')))
  );
}

/** Escapes that are no UTF-8 become U+FFFD, as in Go's JSON decoder. */
function decode(text: string): string {
  if (!/[%+]/.test(text)) return text;
  const bytes = text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-9a-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

const brokenEscape = /%(?![0-9a-f]{2})/i;
const falseValues = new Set(['', '0', 'no', 'false', 'none']);
