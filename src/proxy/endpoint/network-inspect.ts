// Answers `GET /networks/{id}` for the cluster: a Swarm network with the endpoints of all nodes, a local one as the node
// that has it says.

import type { Answer } from '../../exchange.ts';
import type { NodeOutcome } from '../fan-out.ts';
import type { FoundOwner } from '../owner/rank.ts';
import type { FetchedPart } from '../proxy.ts';
import type { Ask } from './ask.ts';
import type { EndpointCall } from './call.ts';
import { parseObject } from './exact-json.ts';
import { mergeNetwork } from './network-merge.ts';
import { jsonAnswer, questionOf } from './question.ts';
import { settle } from './settle.ts';

export interface NetworkInspectNeeds {
  readonly ask: Ask;
  readonly now: () => number;
}

/** `found` is whose network it is, as the owner lookup says. */
export type NetworkInspect = (call: EndpointCall, found: FoundOwner) => Promise<Answer>;

export function createNetworkInspect(needs: NetworkInspectNeeds): NetworkInspect {
  return (call, found) => (scopeOf(found) === 'local' ? ofOwner : ofAll)(needs, call, found);
}

async function ofOwner(
  { ask, now }: NetworkInspectNeeds,
  call: EndpointCall,
  found: FoundOwner,
): Promise<Answer> {
  const view = { ...call.view, members: [found.member], missing: [] };
  const outcomes = await ask({ ...call, view }, questionOfNetwork(call, found));
  const settled = settle(outcomes, { strict: false, nowMs: now() });
  if (settled.kind === 'answer') return settled.answer;
  const body = settled.parts[0]?.part.body ?? '';
  return { status: 200, headers: ['Content-Type', 'application/json'], body };
}

async function ofAll(
  { ask, now }: NetworkInspectNeeds,
  call: EndpointCall,
  found: FoundOwner,
): Promise<Answer> {
  const outcomes = await ask(call, questionOfNetwork(call, found));
  const isAnywhere = outcomes.some(isRecordOutcome);
  // A worker knows a network of the swarm only while a task uses it: that it has none is an answer.
  const isPart = (part: FetchedPart): boolean => isRecord(part) || (part.status === 404 && isAnywhere);
  const settled = settle(outcomes, { strict: call.strict, nowMs: now(), isPart });
  if (settled.kind === 'answer') return settled.answer;
  const parts = settled.parts.flatMap(({ node, member, part }) => {
    const value = part.status === 200 ? parseObject(part.body) : undefined;
    return value === undefined ? [] : [{ node, member, value }];
  });
  return jsonAnswer(mergeNetwork(parts), settled.headers);
}

function questionOfNetwork(call: EndpointCall, { id }: FoundOwner): ReturnType<typeof questionOf> {
  return questionOf(call, { pace: 'list', rawPath: `/networks/${encodeURIComponent(id)}` });
}

function isRecord({ status, body }: FetchedPart): boolean {
  return status === 200 && parseObject(body) !== undefined;
}

function isRecordOutcome({ outcome }: NodeOutcome): boolean {
  return outcome.kind === 'answer' && isRecord(outcome.part);
}

function scopeOf({ inspect }: FoundOwner): unknown {
  return inspect === undefined ? undefined : parseObject(inspect.body)?.Scope;
}
