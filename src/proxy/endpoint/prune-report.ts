// Adds up what the engines report of a prune, and says beside it what each of them did. Pure.

import type { NodeOutcome } from '../fan-out.ts';
import { isObject, type JsonObject, parseObject } from './exact-json.ts';
import { mergeMembers, mergeValues } from './merge-members.ts';
import type { ObjectPart } from './settle-objects.ts';

/** In the engine's own form, and our own key `Flotilla` with one report for each node that was to do it. */
export function pruneReport(parts: readonly ObjectPart[], outcomes: readonly NodeOutcome[]): JsonObject {
  const merged = mergeMembers(parts, (key, values) => {
    const value = mergeValues(values);
    // Two managers may both report a network of the swarm; who removed what is said per node.
    return key === 'NetworksDeleted' && Array.isArray(value) ? [...new Set<unknown>(value)] : value;
  });
  return { ...merged, Flotilla: { Nodes: outcomes.map((outcome) => nodeReport(outcome, parts)) } };
}

function nodeReport({ node, member, outcome }: NodeOutcome, parts: readonly ObjectPart[]): JsonObject {
  // Where the answer did not come, the engine may still be at it.
  if (outcome.kind === 'missing') return { Node: node, Error: `no answer (${outcome.reason})` };
  const part = parts.find((one) => one.member === member);
  if (part !== undefined) return { Node: node, ...part.value };
  const { status, body } = outcome.part;
  return { Node: node, Error: messageIn(body) ?? 'no report in the answer', Status: status };
}

function messageIn(body: Buffer): string | undefined {
  const error = parseObject(body);
  return isObject(error) && typeof error.message === 'string' ? error.message : undefined;
}
