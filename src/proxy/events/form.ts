// The form in which a client gets its events: which content type, and what stands around each. Pure.
// Engines from API 1.52 on let a client choose by `Accept`; those before know one name for it (engine-api.md 1.9).

import { compareVersions } from '../endpoint/versions.ts';

export interface EventForm {
  readonly contentType: string;
  /** What stands before each event; a line break stands behind it in every form. */
  readonly before: string;
}

/** `spoken` is the newest API version that the cluster speaks. */
export function formOf(accept: string, spoken: string): EventForm {
  if (compareVersions(spoken, negotiatedFrom) < 0) return plain;
  const ranges = parseAccept(accept);
  let best: { readonly form: EventForm; readonly range: Range } | undefined;
  for (const form of offers) {
    for (const range of ranges) {
      if (!covers(range, form.contentType)) continue;
      if (best === undefined || beats(range, best.range)) best = { form, range };
    }
  }
  return best?.form ?? plain;
}

const negotiatedFrom = '1.52';
const plain: EventForm = { contentType: 'application/json', before: '' };
/** In the order in which engines prefer them. */
const offers: readonly EventForm[] = [
  { contentType: 'application/jsonl', before: '' },
  { contentType: 'application/x-ndjson', before: '' },
  { contentType: 'application/json-seq', before: '\x1e' },
];

interface Range {
  readonly type: string;
  readonly quality: number;
}

/** RFC 9110 section 12.5.1; ranges of quality 0 are refusals and therefore left out. */
function parseAccept(accept: string): readonly Range[] {
  return accept
    .split(',')
    .map((item) => {
      const [type = '', ...parameters] = item.split(';').map((text) => text.trim().toLowerCase());
      const quality = parameters.find((parameter) => /^q\s*=/.test(parameter));
      const value = quality === undefined ? 1 : Number(quality.slice(quality.indexOf('=') + 1));
      return { type, quality: Number.isFinite(value) ? value : 0 };
    })
    .filter(({ quality }) => quality > 0);
}

function covers({ type }: Range, contentType: string): boolean {
  return (
    type === '*/*' ||
    type === contentType ||
    (type.endsWith('/*') && contentType.startsWith(type.slice(0, -1)))
  );
}

/** By quality, then by how much it names. */
function beats(one: Range, other: Range): boolean {
  return one.quality > other.quality || (one.quality === other.quality && precision(one) > precision(other));
}

function precision({ type }: Range): number {
  return type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2;
}
