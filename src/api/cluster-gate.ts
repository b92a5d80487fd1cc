// The gate of the cluster socket, on which all engines appear as one. Only Docker's API is here: no route of ours and no
// signature, because whoever may open the socket may do everything.

import { AgentError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';
import { strictHeader } from '../wire.ts';
import { type AdmitNeeds, admitDocker } from './sockets-admit.ts';
import type { Target } from './target.ts';

/** A request that may run, before it is known where. */
export interface ClusterExchange {
  readonly exchange: Exchange;
  readonly target: Target;
  /** An answer without the part of some node is refused. */
  readonly strict: boolean;
}

export interface ClusterGateNeeds extends AdmitNeeds {
  /** Always answers, or ends, the exchange. */
  readonly endpoint: { serve(what: ClusterExchange): void };
}

export interface ClusterGateOptions {
  /** Strict for all clients, whatever they ask for. */
  readonly strict: boolean;
}

export interface ClusterGate {
  handle(exchange: Exchange): void;
}

export function createClusterGate(needs: ClusterGateNeeds, options: ClusterGateOptions): ClusterGate {
  const isStrict = (exchange: Exchange): boolean => asksStrict(exchange) || options.strict;
  return {
    handle: (exchange) =>
      admitDocker(needs, exchange, isStrict, (target, strict, admitted) =>
        needs.endpoint.serve({ exchange: admitted, target, strict }),
      ),
  };
}

/** A value that is misspelt must not pass for "no". */
function asksStrict({ req }: Exchange): boolean {
  const value = req.headers[strictHeader];
  if (value === undefined || value === '0') return false;
  if (value === '1') return true;
  throw new AgentError('request-invalid', `read header ${strictHeader}: expected 1 or 0`);
}
