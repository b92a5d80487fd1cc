// Merges objects of the same form member by member, whatever members they have: lists are joined, numbers added. Pure.
// Forms differ between API versions, so only what is there is looked at.

import { isNumber, type JsonObject, sumOf } from './exact-json.ts';
import { labelNode } from './node-label.ts';

export interface NodeObject {
  readonly node: string;
  readonly value: JsonObject;
}

export interface NodeValue {
  readonly node: string;
  readonly value: unknown;
}

/** In the order in which members first come. */
export function mergeMembers(
  parts: readonly NodeObject[],
  merge: (key: string, values: readonly NodeValue[]) => unknown,
): JsonObject {
  const keys = new Set(parts.flatMap(({ value }) => Object.keys(value)));
  const members = [...keys].map((key) => {
    const having = parts.filter(({ value }) => Object.hasOwn(value, key));
    return [
      key,
      merge(
        key,
        having.map(({ node, value }) => ({ node, value: value[key] })),
      ),
    ] as const;
  });
  return Object.fromEntries(members);
}

/** Anything else is the first one's word. `label` names the node in each item. */
export function mergeValues(values: readonly NodeValue[], label?: 'label-nodes'): unknown {
  if (values.some(({ value }) => Array.isArray(value))) {
    return values.flatMap(({ node, value }) => {
      if (!Array.isArray(value)) return [];
      return label !== undefined ? value.map((item: unknown) => labelNode(item, node)) : value;
    });
  }
  const numbers = values.map(({ value }) => value).filter(isNumber);
  // Engines write -1 for what they did not count.
  const counted = numbers.filter((value) => value !== -1);
  return counted.length > 0 ? sumOf(counted) : values[0]?.value;
}
