// Merges the parts of a fan-out into the one list that Portainer reads (agent-api.md 8.4), and prepares a node's own part.
// Pure. Always gives a list: where nobody answered it is empty, because Portainer relies on that (Q19).

import type { ListKind } from './classify.ts';
import type { NodeOutcome } from './fan-out.ts';
import type { MissingNode } from './missing-header.ts';
import type { FetchedPart, ListForm } from './proxy.ts';
import { labelList, labelVolumes } from './splice-label.ts';
import {
  decorateList,
  decorateVolumes,
  isList,
  isVolumes,
  joinLists,
  joinVolumes,
  portainerMember,
} from './splice-list.ts';

export interface MergedList {
  readonly body: Buffer;
  /** Nodes whose items are not in it. */
  readonly missing: readonly MissingNode[];
}

/** What an agent answers for its part when its engine is gone; no engine answers a list with it. */
export const engineGoneStatus = 502;

/**
 * One list of all parts that are one. A part that is an error, or no JSON list of this kind, is missing as `bad-answer`.
 * Parts were decorated by the agents that sent them; only their ends are looked at.
 */
export function mergeLists(kind: ListKind, outcomes: readonly NodeOutcome[], nowMs: number): MergedList {
  const bodies: Buffer[] = [];
  const missing: MissingNode[] = [];
  for (const { node, outcome } of outcomes) {
    if (outcome.kind === 'missing') missing.push({ node, reason: outcome.reason, sinceMs: outcome.sinceMs });
    else if (isPart(kind, outcome.part)) bodies.push(outcome.part.body);
    else if (outcome.part.status === engineGoneStatus)
      missing.push({ node, reason: 'engine-gone', sinceMs: nowMs });
    else missing.push({ node, reason: 'bad-answer', sinceMs: nowMs, status: outcome.part.status });
  }
  return { body: kind === 'volumes' ? joinVolumes(bodies) : joinLists(bodies), missing };
}

/**
 * The engine's list with each item naming the node. Any other answer passes untouched: it is the engine's word on the
 * request. Throws `protocol-violation` on a broken list, before it can break a merged one.
 */
export function decoratePart(
  kind: ListKind,
  form: ListForm,
  part: FetchedPart,
  nodeName: string,
): FetchedPart {
  if (part.status !== 200 || !isJson(part.rawHeaders)) return part;
  const body =
    form === 'label'
      ? labelled(kind, part.body, nodeName)
      : marked(kind, part.body, portainerMember(nodeName));
  return { status: 200, rawHeaders: jsonHeaders, body };
}

function labelled(kind: ListKind, body: Buffer, nodeName: string): Buffer {
  return kind === 'volumes' ? labelVolumes(body, nodeName) : labelList(body, nodeName);
}

function marked(kind: ListKind, body: Buffer, member: Buffer): Buffer {
  return kind === 'volumes' ? decorateVolumes(body, member) : decorateList(body, member);
}

export const jsonHeaders: readonly string[] = ['Content-Type', 'application/json'];

function isPart(kind: ListKind, part: FetchedPart): boolean {
  if (part.status !== 200 || !isJson(part.rawHeaders)) return false;
  return kind === 'volumes' ? isVolumes(part.body) : isList(part.body);
}

export function isJson(rawHeaders: readonly string[]): boolean {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === 'content-type')
      return /^application\/json\b/i.test(rawHeaders[i + 1] ?? '');
  }
  return false;
}
