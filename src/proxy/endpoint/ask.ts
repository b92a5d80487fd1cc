// Asks the engines on behalf of one call: the same question to each, its own engine directly, members in parallel.

import type { Member } from '../../cluster/cluster.ts';
import type { Breakers } from '../breakers.ts';
import { type FanOutOptions, fanOut, type NodeOutcome } from '../fan-out.ts';
import type { FetchedPart, FetchLimits, ProxyRequest } from '../proxy.ts';
import type { EndpointCall } from './call.ts';

/**
 * How long an answer may take: a list soon; what makes an engine count bytes or ask its runtimes, its time; work that
 * giving up would end halfway, as long as the member lives and the client waits.
 */
export type Pace = 'list' | 'slow' | 'work';

export interface Question {
  /** What to send to this member, in the API version that it speaks. */
  readonly to: (member: Member) => ProxyRequest;
  readonly pace: Pace;
  /** Whose answer is wanted, by node name; everybody's when left out. */
  readonly only?: (nodeName: string) => boolean;
}

/** One outcome for each member that was wanted, in the view's order, then one for each missing one. */
export type Ask = (
  call: Pick<EndpointCall, 'view' | 'signal'>,
  question: Question,
) => Promise<readonly NodeOutcome[]>;

export interface AskNeeds {
  readonly engine: (request: ProxyRequest, limits: FetchLimits) => Promise<FetchedPart>;
  readonly member: (member: Member, request: ProxyRequest, limits: FetchLimits) => Promise<FetchedPart>;
  readonly breakers: Breakers;
  readonly now: () => number;
}

export interface AskOptions {
  readonly memberTimeoutMs: number;
  readonly slowMemberTimeoutMs: number;
  /** Without a cluster secret nobody but the local engine is asked for a client that signed nothing. */
  readonly members: FanOutOptions['members'];
}

export function createAsk(needs: AskNeeds, options: AskOptions): Ask {
  return ({ view, signal }, { to, pace, only = () => true }) => {
    const wanted = {
      ...view,
      members: view.members.filter(({ record }) => only(record.nodeName)),
      missing: view.missing.filter(({ nodeName }) => only(nodeName)),
    };
    return fanOut(
      {
        askEngine: (limits) => needs.engine(to(view.self), limits),
        askMember: (member, limits) => needs.member(member, to(member), limits),
        breakers: needs.breakers,
        now: needs.now,
      },
      { view: wanted, signal, members: options.members, ...limitsOf(pace, options) },
    );
  };
}

function limitsOf(pace: Pace, options: AskOptions): Pick<FanOutOptions, 'deadlineMs' | 'breaker'> {
  switch (pace) {
    case 'list':
      return { deadlineMs: options.memberTimeoutMs, breaker: 'opened' };
    case 'slow':
      return { deadlineMs: options.slowMemberTimeoutMs, breaker: 'heeded' };
    case 'work':
      return { deadlineMs: workTimeoutMs, breaker: 'ignored' };
  }
}

/** An engine that deletes a terabyte of layers takes less; one that hangs must not hold a call for ever. */
const workTimeoutMs = 60 * 60_000;
