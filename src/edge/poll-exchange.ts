// One poll: the environment id where the key is global, then the status, by the older route once where the newer is unknown.
// Whatever happens is an outcome; it never throws.

import { type AgentError, toAgentError } from '../errors.ts';
import type { PollAnswer, PortainerAnswer, PortainerRequest } from './edge.ts';
import { parseGlobalKeyAnswer, parsePollAnswer } from './poll-answer.ts';
import type { PollCache } from './poll-cache.ts';
import type { PollOutcome, PollRoute, PollStart } from './poll-plan.ts';
import {
  describeRefusal,
  type GlobalKeyMeta,
  type PollIdentity,
  toGlobalKeyRequest,
  toStatusRequest,
} from './poll-request.ts';

export interface PollExchangeNeeds {
  readonly send: (request: PortainerRequest, signal: AbortSignal) => Promise<PortainerAnswer>;
  readonly cache: PollCache;
}

export interface PollExchangeOptions {
  readonly identity: PollIdentity;
  readonly meta: GlobalKeyMeta;
  /** Of the key. */
  readonly isGlobal: boolean;
}

export async function pollOnce(
  needs: PollExchangeNeeds,
  options: PollExchangeOptions,
  start: PollStart,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<PollOutcome> {
  const send: PollExchangeNeeds['send'] = (request) => needs.send({ ...request, timeoutMs }, signal);
  const limited = { ...needs, send };
  try {
    const environmentId =
      start.environmentId === 0 ? await findEnvironment(limited, options, signal) : start.environmentId;
    if (typeof environmentId === 'string') return { ...start, kind: 'bad', failure: environmentId };
    return await pollStatus(limited, options, { ...start, environmentId }, signal);
  } catch (error) {
    const failure: AgentError = toAgentError(error, 'unavailable', 'poll portainer');
    return { ...start, kind: 'bad', failure: failure.message };
  }
}

/** The id, or why there is none. */
async function findEnvironment(
  { send }: PollExchangeNeeds,
  { meta }: PollExchangeOptions,
  signal: AbortSignal,
): Promise<number | string> {
  const answer = await send(toGlobalKeyRequest(meta), signal);
  if (answer.status !== 200) return `look up the environment of the global key: ${describeRefusal(answer)}`;
  return parseGlobalKeyAnswer(answer.body);
}

async function pollStatus(
  needs: PollExchangeNeeds,
  options: PollExchangeOptions,
  start: PollStart,
  signal: AbortSignal,
): Promise<PollOutcome> {
  const { environmentId } = start;
  const ask = (route: PollRoute): Promise<PortainerAnswer> =>
    needs.send(toStatusRequest(environmentId, route, options.identity, needs.cache.ifNoneMatch()), signal);
  const first = await ask(start.route);
  if (first.status === 404 && start.route === 'edge') {
    // Portainer before 2.15 knows the older route only; a proxy that answers 404 must not double the polls for ever.
    const older = await ask('older');
    if (isGood(older)) return toOutcome(needs, options, { environmentId, route: 'older' }, older);
    return toOutcome(needs, options, { environmentId, route: 'edge-only' }, first);
  }
  const route = start.route === 'older' && !isGood(first) && first.status === 404 ? 'edge' : start.route;
  return toOutcome(needs, options, { environmentId, route }, first);
}

function isGood({ status }: PortainerAnswer): boolean {
  return status === 200 || status === 304;
}

function toOutcome(
  { cache }: PollExchangeNeeds,
  { isGlobal }: PollExchangeOptions,
  { environmentId, route }: PollStart,
  answer: PortainerAnswer,
): PollOutcome {
  if (!isGood(answer)) {
    // The environment may have been deleted, and another one be there for this Edge ID by now.
    const id = isGlobal ? 0 : environmentId;
    return { environmentId: id, route, kind: 'bad', failure: describeRefusal(answer) };
  }
  const parsed = toPollAnswer(cache, answer);
  if (parsed === undefined) {
    cache.clear();
    const failure = 'a 304 for an answer that was never sent';
    return { environmentId, route, kind: 'bad', failure };
  }
  return { environmentId, route, kind: 'good', answer: parsed };
}

function toPollAnswer(cache: PollCache, { status, headers, body }: PortainerAnswer): PollAnswer | undefined {
  const etag = headers.etag ?? '';
  if (status === 304) return cache.find(etag);
  const parsed = parsePollAnswer(body);
  cache.keep(etag, parsed);
  return parsed;
}
