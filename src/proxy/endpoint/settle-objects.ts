// Settles a fan-out whose parts are JSON objects, and hands them over parsed. Pure.
// A part that is none is missing as `bad-answer`, before it can break the merged one.

import type { Member } from '../../cluster/cluster.ts';
import type { Answer } from '../../exchange.ts';
import type { NodeOutcome } from '../fan-out.ts';
import type { MissingNode } from '../missing-header.ts';
import type { FetchedPart } from '../proxy.ts';
import { type JsonObject, parseObject } from './exact-json.ts';
import { type SettleOptions, settle } from './settle.ts';

export interface ObjectPart {
  readonly node: string;
  readonly member: Member;
  readonly value: JsonObject;
}

export type SettledObjects =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | {
      readonly kind: 'objects';
      /** At least one. */
      readonly parts: readonly ObjectPart[];
      readonly missing: readonly MissingNode[];
      readonly headers: readonly string[];
    };

export function settleObjects(
  outcomes: readonly NodeOutcome[],
  options: Omit<SettleOptions, 'isPart'>,
): SettledObjects {
  const parsed = new Map<FetchedPart, JsonObject>();
  const isPart = (part: FetchedPart): boolean => {
    const value = part.status === 200 ? parseObject(part.body) : undefined;
    if (value !== undefined) parsed.set(part, value);
    return value !== undefined;
  };
  const settled = settle(outcomes, { ...options, isPart });
  if (settled.kind === 'answer') return settled;
  const { missing, headers } = settled;
  const parts = settled.parts.map(({ node, member, part }) => {
    return { node, member, value: parsed.get(part) ?? {} };
  });
  return { kind: 'objects', parts, missing, headers };
}
