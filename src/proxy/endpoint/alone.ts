// Whether this node's engine is all that there is of the cluster, or all that is known of it yet. Alone, clients get its
// own bytes; while others may be there that nobody has found, they are told so. Pure.

import type { ClusterView } from '../../cluster/cluster.ts';
import { type Answer, dockerError } from '../../exchange.ts';
import { flotillaHeaders } from '../../wire.ts';
import type { RouteMatch } from '../routes/route.ts';

export function isAlone({ members, missing }: ClusterView): boolean {
  return members.length === 1 && missing.length === 0;
}

/** Not one of the others has answered since this agent started, so that not even their names are known. */
function isJoining(view: ClusterView): boolean {
  return view.state === 'joining' && isAlone(view);
}

const joiningHeaders: readonly string[] = [flotillaHeaders.missing, '*;reason=joining'];

/** What is added to this engine's own answers. */
export function headersAlone(view: ClusterView): readonly string[] {
  return isJoining(view) ? joiningHeaders : [];
}

/** The answer to a strict client that asks all nodes, while it is not known who they are. */
export function joiningHole(view: ClusterView, match: RouteMatch | undefined): Answer | undefined {
  if (!isJoining(view) || !isOfAll(match)) return undefined;
  const hole = dockerError(503, 'flotilla: this node has not found the others yet', {
    missing: [{ node: '*', reason: 'joining' }],
  });
  return { ...hole, headers: [...hole.headers, ...joiningHeaders] };
}

/** A ping and a version are this engine's word, whoever else is there. */
function isOfAll(match: RouteMatch | undefined): boolean {
  const where = match?.route.where;
  return where?.kind === 'prune' || (where?.kind === 'merge' && !['ping', 'version'].includes(where.what));
}
