// Makes the cluster's `docker version` of this engine's: the API range that all members share, and one component more
// that names each member's engine. Pure. Details of a component are text, or strict clients refuse them.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { isObject, type JsonObject } from './exact-json.ts';
import { advertisedRange, type VersionRange } from './versions.ts';

export function mergeVersionInfo(own: JsonObject, view: ClusterView): JsonObject {
  const range = advertisedRange(view);
  const components = Array.isArray(own.Components) ? own.Components : [];
  return {
    ...own,
    Components: [...components.map((component: unknown) => clampEngine(component, range)), flotilla(view)],
    ...clamp(own, range),
  };
}

/** Of an object that names a range: the cluster's. An engine so old that it names no minimum is given none. */
function clamp(object: JsonObject, { min, max }: VersionRange): JsonObject {
  const clamped: [string, string][] = [];
  if (Object.hasOwn(object, 'ApiVersion')) clamped.push(['ApiVersion', max]);
  if (Object.hasOwn(object, 'MinAPIVersion')) clamped.push(['MinAPIVersion', min]);
  return Object.fromEntries(clamped);
}

function clampEngine(component: unknown, range: VersionRange): unknown {
  if (!isObject(component) || component.Name !== 'Engine' || !isObject(component.Details)) return component;
  const details = component.Details;
  return { ...component, Details: { ...details, ...clamp(details, range) } };
}

function flotilla({ self, members, missing }: ClusterView): JsonObject {
  const names = [...members.map(({ record }) => record.nodeName), ...missing.map(({ nodeName }) => nodeName)];
  const keyOf = (name: string, id: string): string =>
    names.indexOf(name) === names.lastIndexOf(name) ? name : `${name} (${id})`;
  const alive = members.map(({ record }) => [keyOf(record.nodeName, record.engineId), engineOf(record)]);
  const gone = missing.map(({ nodeName, engineId, reason }) => [keyOf(nodeName, engineId), `(${reason})`]);
  return {
    Name: 'Flotilla',
    Version: self.record.agentVersion,
    Details: Object.fromEntries([...alive, ...gone]),
  };
}

function engineOf({ engineVersion, minApiVersion, apiVersion }: Member['record']): string {
  return `${engineVersion} (API ${minApiVersion} to ${apiVersion})`;
}
