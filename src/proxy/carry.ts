// Takes an exchange to where it was decided to run: the local engine, a member, or the first manager that can be reached.
// Every way ends in an answer, or in the failure of the listener's own shape.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { AgentError, reasonOf, toAgentError } from '../errors.ts';
import { type Exchange, hasLeft } from '../exchange.ts';
import type { StreamClass } from './classify.ts';
import type { Decline, ForwardOptions, PeerTransport, ProxyRequest, Transport } from './proxy.ts';
import { hasBody } from './relay.ts';

export interface CarrierNeeds {
  readonly engine: Transport;
  readonly peer: PeerTransport;
  /** Answers the exchange with an error in the listener's own shape. */
  readonly fail: (exchange: Exchange, error: AgentError) => void;
}

export interface Cargo {
  readonly exchange: Exchange;
  readonly request: ProxyRequest;
  readonly stream: StreamClass;
  /** Flat name, value list added to every answer. */
  readonly answerHeaders: readonly string[];
  readonly decline?: Decline;
  /** The request's body, where it was read already. */
  readonly body?: Buffer;
}

/** Called when nothing of an answer came and the client is still there. */
export type OnUnreachable = (error: AgentError) => void;

/** Each call returns at once; the exchange is always answered or ended. */
export interface Carrier {
  here(cargo: Cargo, onUnreachable?: OnUnreachable): void;
  toMember(cargo: Cargo, member: Member, onUnreachable?: OnUnreachable): void;
  /** Tries managers in turn; only a request that is known to be repeatable moves on when it got no answer. */
  toManager(cargo: Cargo, view: ClusterView): void;
  failed(cargo: Cargo, error: AgentError): void;
}

export function createCarrier(needs: CarrierNeeds): Carrier {
  const failed: Carrier['failed'] = ({ exchange }, error) => {
    if (!hasLeft(exchange)) needs.fail(exchange, error);
  };

  const here: Carrier['here'] = (cargo, onUnreachable = (error) => failed(cargo, error)) => {
    carry(needs.engine, cargo, (cause) =>
      onUnreachable(new AgentError('engine-unreachable', `reach the engine: ${reasonOf(cause)}`, { cause })),
    );
  };

  const toMember: Carrier['toMember'] = (cargo, member, onUnreachable = (error) => failed(cargo, error)) => {
    if (member.self) {
      here(cargo, onUnreachable);
      return;
    }
    const { nodeName, address } = member.record;
    carry(needs.peer(member), cargo, (error) =>
      onUnreachable(
        toAgentError(error, 'member-unreachable', `reach the agent of ${nodeName} at ${address}`),
      ),
    );
  };

  const toManager: Carrier['toManager'] = (cargo, view) => {
    const managers = managersOf(view);
    const repeatable = isRepeatable(cargo);
    const attempt = (index: number, last: AgentError): void => {
      const manager = managers[index];
      if (manager === undefined || (index > 0 && !repeatable)) failed(cargo, last);
      else toMember(cargo, manager, (error) => attempt(index + 1, error));
    };
    attempt(0, new AgentError('no-manager', 'find an agent on a manager: none is alive'));
  };

  return { here, toMember, toManager, failed };
}

/** Only asks, and has no body that the first manager may have taken. */
function isRepeatable({ exchange, request }: Cargo): boolean {
  if (exchange.kind !== 'request' || hasBody(exchange.req)) return false;
  return request.method === 'GET' || request.method === 'HEAD';
}

function carry(transport: Transport, cargo: Cargo, onUnreachable: (error: unknown) => void): void {
  const { exchange, request, stream, answerHeaders, decline, body } = cargo;
  const options: ForwardOptions = {
    endless: stream === 'endless',
    answerHeaders,
    onUnreachable,
    ...(decline === undefined ? {} : { decline }),
    ...(body === undefined ? {} : { body }),
  };
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
