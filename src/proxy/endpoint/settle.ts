// Decides what the outcomes of a fan-out amount to on the cluster socket: parts to merge, or an answer right away. Pure.
// Unknown is never shown as empty: what all engines refuse is refused, and where nobody answered there is no list.

import type { Member } from '../../cluster/cluster.ts';
import { type Answer, dockerError } from '../../exchange.ts';
import type { NodeOutcome } from '../fan-out.ts';
import { engineGoneStatus } from '../merge.ts';
import { type MissingNode, missingHeaders } from '../missing-header.ts';
import type { FetchedPart } from '../proxy.ts';

export interface Part {
  readonly node: string;
  readonly member: Member;
  readonly part: FetchedPart;
}

export type Settled =
  /** Nothing to merge: the refusal of all engines, 503 for nobody, or a hole where none is allowed. */
  | { readonly kind: 'answer'; readonly answer: Answer }
  | {
      readonly kind: 'parts';
      /** At least one. */
      readonly parts: readonly Part[];
      readonly missing: readonly MissingNode[];
      /** `Flotilla-Nodes` and, unless all answered, `Flotilla-Missing`. */
      readonly headers: readonly string[];
    };

export interface SettleOptions {
  readonly strict: boolean;
  readonly nowMs: number;
  /** Whether an answer can be merged; status 200 when left out. */
  readonly isPart?: (part: FetchedPart) => boolean;
}

export function settle(outcomes: readonly NodeOutcome[], options: SettleOptions): Settled {
  const { isPart = isOk, nowMs } = options;
  const parts: Part[] = [];
  const refusals: FetchedPart[] = [];
  const missing: MissingNode[] = [];
  for (const found of outcomes) {
    const { node, member, outcome } = found;
    if (outcome.kind === 'answer' && member !== undefined && isPart(outcome.part)) {
      parts.push({ node, member, part: outcome.part });
      continue;
    }
    missing.push(missingNodeOf(found, nowMs));
    if (outcome.kind === 'answer' && isRefusal(outcome.part)) refusals.push(outcome.part);
  }
  const headers = missingHeaders(outcomes.length, missing, nowMs);
  if (parts.length === 0) return { kind: 'answer', answer: refusalOf(refusals, missing, headers) };
  if (options.strict && missing.length > 0) return { kind: 'answer', answer: hole(missing, headers) };
  return { kind: 'parts', parts, missing, headers };
}

function isOk({ status }: FetchedPart): boolean {
  return status === 200;
}

/** A broken answer with status 200 is nobody's word on the request. */
function isRefusal({ status }: FetchedPart): boolean {
  return status >= 400 && status !== engineGoneStatus;
}

/** Why there is nothing to merge of a node. */
export function missingNodeOf({ node, outcome }: NodeOutcome, nowMs: number): MissingNode {
  if (outcome.kind === 'missing') return { node, reason: outcome.reason, sinceMs: outcome.sinceMs };
  const { status } = outcome.part;
  if (status === engineGoneStatus) return { node, reason: 'engine-gone', sinceMs: nowMs };
  return { node, reason: 'bad-answer', sinceMs: nowMs, status };
}

/** Engines that refuse alike have the word; otherwise it is not known what is there. */
function refusalOf(
  refusals: readonly FetchedPart[],
  missing: readonly MissingNode[],
  headers: readonly string[],
): Answer {
  const [first] = refusals;
  if (first !== undefined && refusals.every(({ status }) => status === first.status)) {
    const type = ['Content-Type', 'application/json'];
    return { status: first.status, headers: [...type, ...headers], body: first.body };
  }
  return hole(missing, headers);
}

/** 503, with who is missing in words and, for programs, in `missing`. */
export function hole(missing: readonly MissingNode[], headers: readonly string[]): Answer {
  const names = missing.map(({ node, reason }) => `${node} (${reason})`).join(', ');
  const answer = dockerError(503, `flotilla: no answer from ${names}`, {
    missing: missing.map(({ node, reason, status }) => ({ node, reason, status })),
  });
  return { ...answer, headers: [...answer.headers, ...headers] };
}
