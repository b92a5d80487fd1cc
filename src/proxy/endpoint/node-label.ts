// Names the node in the labels of an item that was parsed, as splice-label.ts does for bytes. Pure.

import { isObject } from './exact-json.ts';
import { nodeLabel } from './placement.ts';

/** What belongs to no node (scope `swarm` or `global`) stays as it is; ours replaces a label of the same name. */
export function labelNode(item: unknown, node: string): unknown {
  if (!isObject(item) || item.Scope === 'swarm' || item.Scope === 'global') return item;
  const labels = isObject(item.Labels) ? item.Labels : {};
  return { ...item, Labels: { ...labels, [nodeLabel]: node } };
}
