// Makes one `docker info` of all engines': a manager's word, with what can be counted counted over the cluster. Pure.
// Only values change, never the form: strict clients parse it as an engine's.

import type { MissingNode } from '../missing-header.ts';
import { isNumber, isObject, type JsonObject, sumOf } from './exact-json.ts';
import { preferManagers } from './member-choice.ts';
import type { ObjectPart } from './settle-objects.ts';

export interface InfoInput {
  /** At least one. */
  readonly parts: readonly ObjectPart[];
  readonly missing: readonly MissingNode[];
  /** Ids of a node's images, by the engine's id; a node that did not list them counts with its own number. */
  readonly imageIds: ReadonlyMap<string, readonly string[]>;
}

export function mergeInfo({ parts, missing, imageIds }: InfoInput): JsonObject {
  const base = preferManagers(parts)[0]?.value ?? {};
  const values = parts.map(({ value }) => value);
  const changed: [string, unknown][] = [];
  for (const key of summed) {
    const numbers = values.map((value) => value[key]).filter(isNumber);
    if (numbers.length > 0) changed.push([key, sumOf(numbers)]);
  }
  changed.push(['Images', countImages(parts, imageIds)]);
  const warnings = uniteWarnings(parts, missing);
  // Null, or not there in old API versions, is what engines write for none.
  if (warnings.length > 0 || Array.isArray(base.Warnings)) changed.push(['Warnings', warnings]);
  if (isObject(base.Plugins)) changed.push(['Plugins', commonPlugins(base.Plugins, values)]);
  return { ...base, ...Object.fromEntries(changed) };
}

const summed = [
  'Containers',
  'ContainersRunning',
  'ContainersPaused',
  'ContainersStopped',
  'NCPU',
  'MemTotal',
] as const;

function countImages(parts: readonly ObjectPart[], imageIds: InfoInput['imageIds']): unknown {
  const distinct = new Set<string>();
  const unlisted: unknown[] = [];
  for (const { member, value } of parts) {
    const ids = imageIds.get(member.record.engineId);
    if (ids === undefined) unlisted.push(value.Images);
    else for (const id of ids) distinct.add(id);
  }
  return sumOf([distinct.size, ...unlisted]);
}

function uniteWarnings(parts: readonly ObjectPart[], missing: readonly MissingNode[]): readonly string[] {
  const said = parts.flatMap(({ node, value }) => {
    const warnings: unknown = value.Warnings;
    return Array.isArray(warnings) ? warnings.map((text) => `${node}: ${String(text)}`) : [];
  });
  const holes = missing.map(
    ({ node, reason }) => `${node}: WARNING: no answer (${reason}), so it is not counted`,
  );
  return [...said, ...holes];
}

/** What can be relied on wherever a container ends up. Null stays null: the engine's own way to say none. */
function commonPlugins(base: JsonObject, values: readonly JsonObject[]): JsonObject {
  const common = Object.entries(base).map(([kind, names]) => {
    if (!Array.isArray(names)) return [kind, names] as const;
    const others = values.map(({ Plugins: plugins }) => (isObject(plugins) ? plugins[kind] : undefined));
    const everywhere = (name: unknown): boolean =>
      others.every((list) => Array.isArray(list) && list.includes(name));
    return [kind, names.filter(everywhere)] as const;
  });
  return Object.fromEntries(common);
}
