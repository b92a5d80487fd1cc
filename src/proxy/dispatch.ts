// Carries out what classify decided: runs an exchange here, on a member, on a manager or on everyone.
// One snapshot of the members serves the whole request.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { AgentError, reasonOf, toAgentError } from '../errors.ts';
import { type Answer, answer, type Exchange, hasLeft, leaveSignal } from '../exchange.ts';
import type { Decision, ListKind, StreamClass } from './classify.ts';
import type { FindOwner } from './owner.ts';
import type { ForwardOptions, PeerTransport, ProxyRequest, Transport } from './proxy.ts';
import { hasBody } from './relay.ts';

export interface DispatchNeeds {
  readonly view: () => ClusterView;
  readonly engine: Transport;
  readonly peer: PeerTransport;
  readonly findOwner: FindOwner;
  /** The merged list over the given view, as an answer without the listener's own headers. */
  readonly mergeList: (
    list: ListKind,
    request: ProxyRequest,
    view: ClusterView,
    signal: AbortSignal,
  ) => Promise<Answer>;
  /** Answers the exchange with an error in the listener's own shape. */
  readonly fail: (exchange: Exchange, error: AgentError) => void;
  /** Told once for each request where it goes. */
  readonly observe: (exchange: Exchange, where: Decision['kind'], stream: StreamClass) => void;
}

export interface DispatchRequest {
  readonly exchange: Exchange;
  readonly request: ProxyRequest;
  readonly stream: StreamClass;
  /** Flat name, value list added to every answer. */
  readonly answerHeaders: readonly string[];
}

export interface Dispatch {
  /** Returns at once; the exchange is always answered or ended. */
  run(what: DispatchRequest, decision: Decision): void;
}

export function createDispatch(needs: DispatchNeeds): Dispatch {
  return {
    run(what, decision): void {
      needs.observe(what.exchange, decision.kind, what.stream);
      switch (decision.kind) {
        case 'local':
          here(needs, what);
          break;
        case 'manager':
          onManager(needs, what, needs.view());
          break;
        case 'node':
          onNamed(needs, what, decision.nodeName);
          break;
        case 'cluster':
          // Nobody but GET lists; the engine's own answer to anything else is the right one.
          if (what.request.method === 'GET') void onEveryone(needs, what, decision.list);
          else here(needs, what);
          break;
        case 'owner':
          void onOwner(needs, what, decision.resource, decision.id);
      }
    },
  };
}

function failed({ fail }: DispatchNeeds, { exchange }: DispatchRequest, error: AgentError): void {
  if (!hasLeft(exchange)) fail(exchange, error);
}

function here(needs: DispatchNeeds, what: DispatchRequest, onUnreachable = failed): void {
  carry(needs.engine, what, (cause) => {
    const error = new AgentError('engine-unreachable', `reach the engine: ${reasonOf(cause)}`, { cause });
    onUnreachable(needs, what, error);
  });
}

function onMember(needs: DispatchNeeds, what: DispatchRequest, member: Member, onUnreachable = failed): void {
  if (member.self) {
    here(needs, what, onUnreachable);
    return;
  }
  const { nodeName, address } = member.record;
  carry(needs.peer(member), what, (error) => {
    const attempted = `reach the agent of ${nodeName} at ${address}`;
    onUnreachable(needs, what, toAgentError(error, 'member-unreachable', attempted));
  });
}

function onNamed(needs: DispatchNeeds, what: DispatchRequest, nodeName: string): void {
  const member = needs.view().members.find(({ record }) => record.nodeName === nodeName);
  if (member !== undefined) onMember(needs, what, member);
  else failed(needs, what, new AgentError('member-unknown', `find the agent of ${nodeName}`));
}

/** Tries managers in turn; only a request that is known to be repeatable moves on when it got no answer. */
function onManager(needs: DispatchNeeds, what: DispatchRequest, view: ClusterView): void {
  if (view.self.record.role === undefined) {
    here(needs, what);
    return;
  }
  const managers = managersOf(view);
  const repeatable = isRepeatable(what);
  const attempt = (index: number, last: AgentError): void => {
    const manager = managers[index];
    if (manager === undefined || (index > 0 && !repeatable)) failed(needs, what, last);
    else onMember(needs, what, manager, (_needs, _what, error) => attempt(index + 1, error));
  };
  attempt(0, new AgentError('no-manager', 'find an agent on a manager: none is alive'));
}

/** Only asks, and has no body that the first manager may have taken. */
function isRepeatable({ exchange, request }: DispatchRequest): boolean {
  if (exchange.kind !== 'request' || hasBody(exchange.req)) return false;
  return request.method === 'GET' || request.method === 'HEAD';
}

async function onEveryone(needs: DispatchNeeds, what: DispatchRequest, list: ListKind): Promise<void> {
  const { exchange, request, answerHeaders } = what;
  try {
    const merged = await needs.mergeList(list, request, needs.view(), leaveSignal(exchange));
    answer(exchange, { ...merged, headers: [...answerHeaders, ...merged.headers] });
  } catch (error) {
    failed(needs, what, toAgentError(error, 'unavailable', `merge ${list}`));
  }
}

async function onOwner(
  needs: DispatchNeeds,
  what: DispatchRequest,
  resource: 'containers' | 'exec',
  id: string,
): Promise<void> {
  try {
    const { exchange, request } = what;
    onMember(needs, what, await needs.findOwner(resource, id, request.rawHeaders, leaveSignal(exchange)));
  } catch (error) {
    failed(needs, what, toAgentError(error, 'unavailable', `find the owner of ${resource} ${id}`));
  }
}

function carry(transport: Transport, what: DispatchRequest, onUnreachable: (error: unknown) => void): void {
  const { exchange, request, stream, answerHeaders } = what;
  const options: ForwardOptions = { endless: stream === 'endless', answerHeaders, onUnreachable };
  if (exchange.kind === 'request') transport.forward(request, exchange.req, exchange.res, options);
  else transport.splice(request, exchange.socket, exchange.head, options);
}

/** Managers in the order of preference: this one, the leader, the healthy ones, the suspects. */
export function managersOf(view: ClusterView): readonly Member[] {
  const rank = ({ self, record, state }: Member): number => {
    if (self) return 0;
    if (state === 'suspect') return 3;
    return record.leader ? 1 : 2;
  };
  return view.members.filter(({ record }) => record.role === 'manager').toSorted((a, b) => rank(a) - rank(b));
}
