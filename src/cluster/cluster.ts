// Who the members are and who is gone: the public types of the cluster module and its factory.
// The view is an immutable snapshot, replaced as a whole at each change; a request reads it once and keeps it.

import type { SwarmRole } from '../docker/docker.ts';

/** What a member says of itself. Signed by its identity before it travels. */
export interface MemberRecord {
  /** libp2p peer id: the hash of the public key that signs this record. */
  readonly peerId: string;
  readonly nodeName: string;
  /** Swarm node id; the engine id where there is no Swarm. */
  readonly nodeId: string;
  readonly engineId: string;
  /** Undefined outside a Swarm. */
  readonly role: SwarmRole | undefined;
  readonly leader: boolean;
  readonly engineVersion: string;
  readonly apiVersion: string;
  readonly minApiVersion: string;
  readonly agentVersion: string;
  /** Literal IPv4 or IPv6 address that other agents reach it at. */
  readonly address: string;
  readonly apiPort: number;
  readonly peerPort: number;
  readonly gossipPort: number;
  /** SHA-256 of the DER certificate on its peer listener, lower-case hex, no colons. */
  readonly tlsFingerprint: string;
  /** Grows with each start of an agent on this engine; the newest generation owns the engine id. */
  readonly generation: number;
  /** Grows when the member refutes a suspicion or changes its record. */
  readonly incarnation: number;
  readonly edgeKeySet: boolean;
}

export interface Member {
  readonly record: MemberRecord;
  readonly self: boolean;
  /** A suspect is still used; it has until the suspicion timeout to refute. */
  readonly state: 'alive' | 'suspect';
}

/** A member that was here and is not: named in answers until it returns, leaves or is forgotten. */
export interface MissingMember {
  readonly nodeName: string;
  readonly engineId: string;
  readonly reason: 'dead';
  /** Wall clock of the moment it was declared dead, milliseconds. */
  readonly sinceMs: number;
}

export interface ClusterView {
  /** `joining` until one other member proved membership, or discovery found that there is none. */
  readonly state: 'joining' | 'joined';
  readonly self: Member;
  /** Alive and suspect members, self included, ordered by node name then engine id. */
  readonly members: readonly Member[];
  readonly missing: readonly MissingMember[];
}

export interface Cluster {
  view(): ClusterView;
  /** Calls back after each change with the new view and the one before, in order. Returns the call that ends it. */
  onChange(listener: (view: ClusterView, before: ClusterView) => void): () => void;
  start(signal: AbortSignal): Promise<void>;
  /** Announces the leave, then closes every connection. */
  stop(signal: AbortSignal): Promise<void>;
}
