// Makes one record of a Swarm network of all nodes' (engine-api.md 1.18): a manager's, with the endpoints and the peers
// of all, as each engine knows only its own. Pure.

import { isObject, type JsonObject } from './exact-json.ts';
import { preferManagers } from './member-choice.ts';
import type { ObjectPart } from './settle-objects.ts';

/** At least one part. */
export function mergeNetwork(parts: readonly ObjectPart[]): JsonObject {
  const ordered = preferManagers(parts);
  const base = ordered[0]?.value ?? {};
  const changed = Object.entries({
    Containers: uniteContainers(ordered),
    Peers: unitePeers(ordered),
    Services: uniteServices(ordered),
  }).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(changed) };
}

/**
 * By container id. Endpoints that are no container's have the same key on each node (`lb-web`, `ingress-sbox`): those of
 * further nodes get the node in front. Undefined where no node has any, so that the base keeps its own way to say so.
 */
function uniteContainers(parts: readonly ObjectPart[]): JsonObject | undefined {
  const united = new Map<string, unknown>();
  let found = false;
  for (const { node, value } of parts) {
    if (!isObject(value.Containers)) continue;
    found = true;
    for (const [key, endpoint] of Object.entries(value.Containers)) {
      united.set(united.has(key) ? `${node}/${key}` : key, endpoint);
    }
  }
  return found ? Object.fromEntries(united) : undefined;
}

function unitePeers(parts: readonly ObjectPart[]): readonly unknown[] | undefined {
  const united = new Map<string, unknown>();
  let found = false;
  for (const { value } of parts) {
    if (!Array.isArray(value.Peers)) continue;
    found = true;
    for (const peer of value.Peers as unknown[]) {
      if (isObject(peer)) united.set(`${String(peer.Name)} ${String(peer.IP)}`, peer);
    }
  }
  return found ? [...united.values()] : undefined;
}

/** Of a verbose inspect: every node that takes part in the network knows all of them. */
function uniteServices(parts: readonly ObjectPart[]): JsonObject | undefined {
  const known = parts.map(({ value }) => value.Services).filter(isObject);
  return known.length === 0
    ? undefined
    : Object.fromEntries(known.toReversed().flatMap((services) => Object.entries(services)));
}
