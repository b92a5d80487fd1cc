// Adds up what the engines say of their disk usage, in whichever of its two forms they say it (engine-api.md 1.13).
// Pure. Layers are counted once per node, as each has its own copy of them.

import { isObject, type JsonObject } from './exact-json.ts';
import { mergeMembers, mergeValues, type NodeObject } from './merge-members.ts';

/**
 * Lists are joined, numbers added, and within the typed usage objects of API 1.52 and newer the same again. Works on
 * the members that are there, so that both forms at once, or one with members not yet known, come out whole.
 */
export function mergeDf(parts: readonly NodeObject[]): JsonObject {
  return mergeMembers(parts, (key, values) => {
    const usages = values.flatMap(({ node, value }) => (isObject(value) ? [{ node, value }] : []));
    const label = labelled.has(key) ? 'label-nodes' : undefined;
    if (usages.length === 0) return mergeValues(values, label);
    return mergeMembers(usages, (_member, inner) => mergeValues(inner, label));
  });
}

/** What has labels in the engine's own form; build cache has none. */
const labelled: ReadonlySet<string> = new Set([
  'Images',
  'Containers',
  'Volumes',
  'ImageUsage',
  'ContainerUsage',
  'VolumeUsage',
]);
