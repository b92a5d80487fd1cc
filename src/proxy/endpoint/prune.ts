// Runs a prune on every node, or on those that the filter `node` names, and reports over all and per node.
// What is unused on one node may be needed on another, so each engine decides for itself; volumes hold data, so that
// pruning them everywhere must be asked for in so many words (engine-api.md, section 2).

import { type Answer, dockerError } from '../../exchange.ts';
import { portainerHeaders } from '../../wire.ts';
import { missingHeaders } from '../missing-header.ts';
import type { Ask } from './ask.ts';
import type { EndpointCall, Handler } from './call.ts';
import { forwardQuery, parseListQuery } from './filters.ts';
import { pruneReport } from './prune-report.ts';
import { jsonAnswer, questionOf } from './question.ts';
import { hole } from './settle.ts';
import { settleObjects } from './settle-objects.ts';
import { memberNamed } from './target-node.ts';

export interface PruneNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

export interface PruneOptions {
  /** Whether it runs everywhere without being told to. */
  readonly everywhere: 'by-default' | 'when-told';
}

export function createPrune({ ask, now }: PruneNeeds, { everywhere }: PruneOptions): Handler {
  return async (call) => {
    const parsed = parseListQuery(call.target.query);
    const { nodes } = parsed;
    if (everywhere === 'when-told' && nodes === undefined && !isToldAll(call)) return notTold;
    const refusal = unknownNode(call, nodes) ?? strictRefusal(call, nodes, now());
    if (refusal !== undefined) return refusal;
    const outcomes = await ask(
      call,
      questionOf(call, { pace: 'work', query: forwardQuery(parsed), only: onlyOf(nodes) }),
    );
    // By now it was done: a hole is reported, never put in the place of the report.
    const settled = settleObjects(outcomes, { strict: false, nowMs: now() });
    if (settled.kind === 'answer') return settled.answer;
    return jsonAnswer(pruneReport(settled.parts, outcomes), settled.headers);
  };
}

const notTold: Answer = dockerError(
  400,
  'flotilla: pruning volumes deletes data, so it runs only where it is told to: ' +
    'set the header X-PortainerAgent-Target to a node, or to * for all of them',
);

/** Twice is no target (attack A-17). */
function isToldAll({ rawHeaders }: EndpointCall): boolean {
  const targets = rawHeaders.filter(
    (_value, index) => rawHeaders[index - 1]?.toLowerCase() === portainerHeaders.target && index % 2 === 1,
  );
  return targets.length === 1 && targets[0] === '*';
}

function onlyOf(nodes: ReadonlySet<string> | undefined): ((name: string) => boolean) | undefined {
  return nodes === undefined ? undefined : (name) => nodes.has(name);
}

/** To prune nothing because of a typing error would look like nothing to prune. */
function unknownNode({ view }: EndpointCall, nodes: ReadonlySet<string> | undefined): Answer | undefined {
  const known = new Set([
    ...view.members.map(({ record }) => record.nodeName),
    ...view.missing.map(({ nodeName }) => nodeName),
  ]);
  if (nodes?.size === 0) return dockerError(400, 'flotilla: the filter `node` names no node');
  for (const name of nodes ?? []) {
    if (known.has(name)) continue;
    const named = memberNamed(name, view);
    if (named.kind === 'answer') return named.answer;
  }
  return undefined;
}

/** Who insists on all nodes is told beforehand that one is missing, while nothing has been deleted. */
function strictRefusal(
  { strict, view }: EndpointCall,
  nodes: ReadonlySet<string> | undefined,
  nowMs: number,
): Answer | undefined {
  const isWanted = onlyOf(nodes) ?? (() => true);
  const missing = view.missing
    .filter(({ nodeName }) => isWanted(nodeName))
    .map(({ nodeName, reason, sinceMs }) => ({ node: nodeName, reason, sinceMs }));
  if (!strict || missing.length === 0) return undefined;
  const asked = missing.length + view.members.filter(({ record }) => isWanted(record.nodeName)).length;
  return hole(missing, missingHeaders(asked, missing, nowMs));
}
