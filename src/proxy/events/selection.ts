// Whose events a client wants, by the filter `node`. Pure. For events of nodes it means the node on which they happened;
// for those of the swarm it keeps Docker's own meaning, the object whose id or name begins with it.

import type { MemberRecord } from '../../cluster/cluster.ts';
import type { EngineEvent } from './event.ts';

export interface Selection {
  /** Whether the node's own events are wanted. */
  wants(nodeName: string): boolean;
  /** Whether the member is to be asked: managers also for what they tell of the swarm. */
  asks(record: Pick<MemberRecord, 'nodeName' | 'role'>): boolean;
  wantsOfSwarm(event: Pick<EngineEvent, 'actorId' | 'actorName'>): boolean;
}

/** Undefined where the filter is not used. */
export function selectionOf(nodes: ReadonlySet<string> | undefined): Selection {
  if (nodes === undefined) return everything;
  return {
    wants: (nodeName) => nodes.has(nodeName),
    asks: ({ nodeName, role }) => role === 'manager' || nodes.has(nodeName),
    wantsOfSwarm: ({ actorId, actorName }) =>
      nodes.values().some((node) => actorId.startsWith(node) || actorName.startsWith(node)),
  };
}

const everything: Selection = { wants: () => true, asks: () => true, wantsOfSwarm: () => true };
