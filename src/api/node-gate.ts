// The gate of the node sockets, each of which is one node's engine, exactly: nothing is looked up, merged or steered.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { AgentError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { type AdmitNeeds, admitDocker } from './sockets-admit.ts';
import type { Target } from './target.ts';

/** A request that may run, and where. */
export interface NodeExchange {
  readonly exchange: Exchange;
  readonly target: Target;
  readonly member: Member;
}

export interface NodeGateNeeds extends AdmitNeeds {
  readonly view: () => ClusterView;
  /** Always answers, or ends, the exchange. */
  readonly toNode: (what: NodeExchange) => void;
}

export interface NodeGate {
  /** `node` is that of the socket on which the exchange arrived. */
  handle(exchange: Exchange, node: GateNode): void;
}

export interface GateNode {
  readonly nodeName: string;
  readonly engineId: string;
}

export function createNodeGate(needs: NodeGateNeeds): NodeGate {
  return {
    handle: (exchange, node) =>
      admitDocker(
        needs,
        exchange,
        () => memberOf(needs.view(), node),
        (target, member, admitted) => needs.toNode({ exchange: admitted, target, member }),
      ),
  };
}

/** Read for every request: a member's address and certificate change while its socket stays. */
function memberOf({ members }: ClusterView, { nodeName, engineId }: GateNode): Member {
  const member = members.find(({ record }) => record.engineId === engineId);
  if (member === undefined)
    throw new AgentError('member-unknown', `find the agent of ${nodeName}: it is gone`);
  return member;
}
