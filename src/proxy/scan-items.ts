// Cuts a JSON list into its items and reads a few members of each, so that lists can be ordered, cut and freed of
// duplicates while each item stays the bytes that its engine wrote. Pure.

import { isKey, skipSpace, violation, walkItems, walkMembers } from './json-scan.ts';
import { findVolumes } from './splice-list.ts';

export interface ScannedItem {
  readonly bytes: Buffer;
  /** JSON texts of the members asked for, in the order asked for; empty for one that is not there. */
  readonly values: readonly string[];
}

export interface ScannedVolumes {
  readonly items: readonly ScannedItem[];
  readonly warnings: readonly string[];
}

/** The items of a JSON array of objects. Throws `protocol-violation` on anything else. */
export function scanItems(body: Buffer, names: readonly string[]): readonly ScannedItem[] {
  const items: ScannedItem[] = [];
  const end = collect(body, skipSpace(body, 0), names, items);
  if (skipSpace(body, end) !== body.length) throw violation('bytes behind the list', end);
  return items;
}

/** The same for `{"Volumes":[…] or null,"Warnings":[…] or null}`. */
export function scanVolumes(body: Buffer, names: readonly string[]): ScannedVolumes {
  const items: ScannedItem[] = [];
  const at = findVolumes(body);
  if (at !== undefined) collect(body, at, names, items);
  let warnings: readonly string[] = [];
  walkMembers(body, skipSpace(body, 0), (keyStart, keyEnd, from, to) => {
    if (isKey(body, keyStart, keyEnd, warningsKey)) warnings = parseTexts(body.toString('utf8', from, to));
  });
  return { items, warnings };
}

/** A JSON text of a list of strings; anything else has none. */
function parseTexts(text: string): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed.filter((each) => typeof each === 'string') : [];
  } catch {
    return [];
  }
}

function collect(body: Buffer, start: number, names: readonly string[], items: ScannedItem[]): number {
  const keys = names.map((name) => Buffer.from(JSON.stringify(name)));
  return walkItems(body, start, (open) => {
    const values = keys.map(() => '');
    const end = walkMembers(body, open, (keyStart, keyEnd, from, to) => {
      const index = keys.findIndex((key) => isKey(body, keyStart, keyEnd, key));
      if (index !== -1) values[index] = body.toString('utf8', from, to);
    });
    items.push({ bytes: body.subarray(open, end), values });
    return end;
  });
}

const warningsKey = Buffer.from('"Warnings"');
