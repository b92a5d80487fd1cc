// Carries out what classify decided: runs an exchange here, on a member, on a manager or on everyone.
// One snapshot of the members serves the whole request.

import type { ClusterView } from '../cluster/cluster.ts';
import { AgentError, toAgentError } from '../errors.ts';
import { type Answer, answer, type Exchange, leaveSignal } from '../exchange.ts';
import { type Cargo, type Carrier, type CarrierNeeds, createCarrier } from './carry.ts';
import type { Decision, ListKind, StreamClass } from './classify.ts';
import type { FindOwner } from './owner/full-id.ts';
import type { ProxyRequest } from './proxy.ts';

export interface DispatchNeeds extends CarrierNeeds {
  readonly view: () => ClusterView;
  readonly findOwner: FindOwner;
  /** The merged list over the given view, as an answer without the listener's own headers. */
  readonly mergeList: (
    list: ListKind,
    request: ProxyRequest,
    view: ClusterView,
    signal: AbortSignal,
  ) => Promise<Answer>;
  /** Told once for each request where it goes. */
  readonly observe: (exchange: Exchange, where: Decision['kind'], stream: StreamClass) => void;
}

export type DispatchRequest = Cargo;

export interface Dispatch {
  /** Returns at once; the exchange is always answered or ended. */
  run(what: DispatchRequest, decision: Decision): void;
}

export function createDispatch(needs: DispatchNeeds): Dispatch {
  const carrier = createCarrier(needs);
  return {
    run(what, decision): void {
      needs.observe(what.exchange, decision.kind, what.stream);
      switch (decision.kind) {
        case 'local':
          carrier.here(what);
          break;
        case 'manager': {
          const view = needs.view();
          // Outside a Swarm there are none, and the engine says so itself.
          if (view.self.record.role === undefined) carrier.here(what);
          else carrier.toManager(what, view);
          break;
        }
        case 'node':
          onNamed(needs, carrier, what, decision.nodeName);
          break;
        case 'cluster':
          // Nobody but GET lists; the engine's own answer to anything else is the right one.
          if (what.request.method === 'GET') void onEveryone(needs, carrier, what, decision.list);
          else carrier.here(what);
          break;
        case 'owner':
          void onOwner(needs, carrier, what, decision);
      }
    },
  };
}

function onNamed(needs: DispatchNeeds, carrier: Carrier, what: DispatchRequest, nodeName: string): void {
  const member = needs.view().members.find(({ record }) => record.nodeName === nodeName);
  if (member !== undefined) carrier.toMember(what, member);
  else carrier.failed(what, new AgentError('member-unknown', `find the agent of ${nodeName}`));
}

async function onEveryone(
  needs: DispatchNeeds,
  carrier: Carrier,
  what: DispatchRequest,
  list: ListKind,
): Promise<void> {
  const { exchange, request, answerHeaders } = what;
  try {
    const merged = await needs.mergeList(list, request, needs.view(), leaveSignal(exchange));
    answer(exchange, { ...merged, headers: [...answerHeaders, ...merged.headers] });
  } catch (error) {
    carrier.failed(what, toAgentError(error, 'unavailable', `merge ${list}`));
  }
}

async function onOwner(
  needs: DispatchNeeds,
  carrier: Carrier,
  what: DispatchRequest,
  { resource, id }: Extract<Decision, { kind: 'owner' }>,
): Promise<void> {
  try {
    const { exchange, request } = what;
    const owner = await needs.findOwner(resource, id, request.rawHeaders, leaveSignal(exchange));
    carrier.toMember(what, owner);
  } catch (error) {
    carrier.failed(what, toAgentError(error, 'unavailable', `find the owner of ${resource} ${id}`));
  }
}
