// Asks the local engine and every member at once, and returns answers and failures side by side: what partial means is
// the caller's decision. Nobody is waited for longer than the deadline and its multiple for a whole part, nor once it is
// known to be gone.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { AgentError, nodeCode } from '../errors.ts';
import type { OpenReason } from './breaker.ts';
import type { Breakers, GoneReason } from './breakers.ts';
import type { FetchedPart, FetchLimits } from './proxy.ts';

/** A part beyond this is missing, `too-large`. A list of 50,000 containers is some 50 MiB. */
export const maxPartBytes: number = 64 * 1024 * 1024;

export type MissingReason =
  /** Declared dead by the cluster, or gone during the request. */
  | 'dead'
  /** The agent answers, its engine does not. */
  | 'engine-gone'
  | 'timeout'
  /** No connection could be made. */
  | 'refused'
  /** The connection broke within the answer. */
  | 'reset'
  /** Not asked: it failed a moment ago, and has not passed a probe since. */
  | 'breaker-open'
  | 'too-large'
  | 'untrusted'
  | 'no-cluster-secret'
  | 'bad-answer';

export type Outcome =
  | { readonly kind: 'answer'; readonly part: FetchedPart }
  | { readonly kind: 'missing'; readonly reason: MissingReason; readonly sinceMs: number };

export interface NodeOutcome {
  readonly node: string;
  /** Undefined for one that the view names as missing. */
  readonly member?: Member;
  readonly outcome: Outcome;
}

export interface FanOutNeeds {
  readonly askEngine: (limits: FetchLimits) => Promise<FetchedPart>;
  readonly askMember: (member: Member, limits: FetchLimits) => Promise<FetchedPart>;
  readonly breakers: Breakers;
  readonly now: () => number;
}

export interface FanOutOptions {
  readonly view: ClusterView;
  /** Aborted when the client leaves; then the fan-out rejects with `cancelled`. */
  readonly signal: AbortSignal;
  /** To the first byte of a part, and from then on between two of its pieces, milliseconds; ten times that for all of it. */
  readonly deadlineMs: number;
  /**
   * A list opens the member's breaker with a missed deadline. Not so the slow class (`size=1`), which heeds it: that an
   * engine counts bytes for long says nothing of its other answers. Work ignores it, for a node that is late is still to
   * be pruned: it is waited for until it is dead.
   */
  readonly breaker: 'opened' | 'heeded' | 'ignored';
  /** Members are not asked for a client that has no authority over them (design.md, Trust). */
  readonly members: 'asked' | 'no-cluster-secret';
}

/** One outcome for each member of the view, in its order, then one for each of its missing members. */
export async function fanOut(needs: FanOutNeeds, options: FanOutOptions): Promise<readonly NodeOutcome[]> {
  const { view, signal } = options;
  // The engine here starts the moment it is asked, and may take this processor from an agent that has yet to ask others.
  const others = view.members.map((member) => (member.self ? undefined : askOther(needs, options, member)));
  const asked = view.members.map(async (member, index): Promise<NodeOutcome> => {
    const outcome = await (others[index] ?? askSelf(needs, options));
    return { node: member.record.nodeName, member, outcome };
  });
  const outcomes = await Promise.all(asked);
  if (signal.aborted) throw new AgentError('cancelled', 'fan out: client left', { cause: signal.reason });
  const dead = view.missing.map(({ nodeName, reason, sinceMs }): NodeOutcome => {
    return { node: nodeName, outcome: { kind: 'missing', reason, sinceMs } };
  });
  return [...outcomes, ...dead];
}

async function askSelf(needs: FanOutNeeds, options: FanOutOptions): Promise<Outcome> {
  try {
    return { kind: 'answer', part: await needs.askEngine(limitsOf(options, options.signal)) };
  } catch (error) {
    return missing(needs, isEngineGone(error) ? 'engine-gone' : missingReasonOf(error));
  }
}

/** Whether a request to the local engine failed because nobody is there, or went away within it. */
export function isEngineGone(error: unknown): boolean {
  const reason = missingReasonOf(error);
  return reason === 'refused' || reason === 'reset';
}

async function askOther(needs: FanOutNeeds, options: FanOutOptions, member: Member): Promise<Outcome> {
  if (options.members === 'no-cluster-secret') return missing(needs, 'no-cluster-secret');
  const openSinceMs = options.breaker === 'ignored' ? undefined : needs.breakers.openSince(member);
  if (openSinceMs !== undefined) return { kind: 'missing', reason: 'breaker-open', sinceMs: openSinceMs };

  const controller = new AbortController();
  const onLeave = (): void => controller.abort(options.signal.reason);
  if (options.signal.aborted) onLeave();
  options.signal.addEventListener('abort', onLeave, { once: true });
  let gone: GoneReason | undefined;
  const onGone = (reason: GoneReason): void => {
    gone = reason;
    controller.abort(new AgentError('member-unreachable', `ask ${member.record.nodeName}: ${reason}`));
  };
  const until = options.breaker === 'ignored' ? 'dead' : 'breaker-open';
  const endWatch = needs.breakers.watch(member, onGone, until);
  try {
    return { kind: 'answer', part: await needs.askMember(member, limitsOf(options, controller.signal)) };
  } catch (error) {
    if (gone !== undefined) return missing(needs, gone);
    const reason = missingReasonOf(error);
    if (!options.signal.aborted && opensBreaker(reason, options)) needs.breakers.failed(member, reason);
    return missing(needs, reason);
  } finally {
    endWatch();
    options.signal.removeEventListener('abort', onLeave);
  }
}

function limitsOf({ deadlineMs }: FanOutOptions, signal: AbortSignal): FetchLimits {
  return { signal, firstByteMs: deadlineMs, idleMs: deadlineMs, maxBytes: maxPartBytes };
}

function missing({ now }: FanOutNeeds, reason: MissingReason): Outcome {
  return { kind: 'missing', reason, sinceMs: now() };
}

function opensBreaker(reason: MissingReason, { breaker }: FanOutOptions): reason is OpenReason {
  return reason === 'refused' || reason === 'untrusted' || (reason === 'timeout' && breaker === 'opened');
}

/** Why there is no part, from what the fetch failed with. */
export function missingReasonOf(error: unknown): MissingReason {
  if (error instanceof AgentError) {
    if (error.code === 'timeout') return 'timeout';
    if (error.code === 'limit-exceeded') return 'too-large';
    if (error.code === 'member-untrusted') return 'untrusted';
    if (error.code === 'member-unreachable' || error.code === 'engine-unreachable') return 'refused';
    return 'bad-answer';
  }
  return reasonByCode.get(nodeCode(error) ?? '') ?? 'bad-answer';
}

const reasonByCode: ReadonlyMap<string, MissingReason> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['ENOENT', 'refused'], // the engine's socket is not there
  ['ETIMEDOUT', 'timeout'],
  ['ECONNRESET', 'reset'],
  ['EPIPE', 'reset'],
  ['UND_ERR_SOCKET', 'reset'],
]);
