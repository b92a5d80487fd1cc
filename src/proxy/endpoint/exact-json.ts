// Reads and writes answers without damage to what is passed on: a number that JavaScript cannot hold keeps its digits.
// Pure. Only for answers of which something must be changed within; lists are spliced as bytes instead.

export type JsonObject = Readonly<Record<string, unknown>>;

/** What the language has and its type library does not (ECMAScript proposal "JSON.parse source text access"). */
interface SourceJson {
  parse(
    text: string,
    revive: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}

const sourceJson = JSON as unknown as SourceJson; // Node 26 has all three methods

/** Throws a SyntaxError for what is no JSON. */
export function parseExact(body: Buffer): unknown {
  const text = body.toString('utf8');
  // A reviver makes parsing several times slower, and nearly no answer has such a number.
  if (!manyDigits.test(text)) return JSON.parse(text);
  return sourceJson.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? sourceJson.rawJSON(source)
      : value,
  );
}

/** 2^53 has sixteen digits. */
const manyDigits = /[\s:[,]-?\d{16}/;

/** The object that a part is; undefined for everything else. */
export function parseObject(body: Buffer): JsonObject | undefined {
  try {
    const value = parseExact(body);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !sourceJson.isRawJSON(value);
}

/** As engines write it, with a line break behind. */
export function toJson(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** The sum of the whole numbers among the values, exactly; anything else counts nothing. */
export function sumOf(values: readonly unknown[]): unknown {
  const sum = values.reduce<bigint>((total, value) => total + wholeOf(value), 0n);
  const rounded = Number(sum);
  return Number.isSafeInteger(rounded) ? rounded : sourceJson.rawJSON(String(sum));
}

function wholeOf(value: unknown): bigint {
  if (Number.isSafeInteger(value)) return BigInt(Number(value));
  if (!isNumber(value)) return 0n;
  const text = JSON.stringify(value);
  return /^-?\d+$/.test(text) ? BigInt(text) : 0n;
}

/** A number, also one that only its digits hold. */
export function isNumber(value: unknown): boolean {
  return typeof value === 'number' || sourceJson.isRawJSON(value);
}
