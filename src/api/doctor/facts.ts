// Everything that the doctor's findings are made from, measured in one go.

import type { ClusterDiagnosis, ClusterView, Member } from '../../cluster/cluster.ts';
import type { EngineFacts, EngineHealth, SwarmNode } from '../../docker/docker.ts';
import type { EdgeState } from '../../edge/edge.ts';
import type { PeerMeasure } from '../peer-measure.ts';

export interface DoctorFacts {
  readonly engine: EngineHealth;
  readonly facts: EngineFacts;
  readonly dockerSocket: string;
  readonly folders: readonly FolderState[];
  readonly view: ClusterView;
  readonly hasSecret: boolean;
  readonly diagnosis: ClusterDiagnosis;
  readonly measures: ReadonlyMap<Member, PeerMeasure>;
  /** Addresses (see `addressKey`) whose peer port completed a TLS handshake though its gossip refused ours. */
  readonly speakTls: ReadonlySet<string>;
  /** Undefined where no manager could be asked. */
  readonly swarmNodes: readonly SwarmNode[] | undefined;
  /** Undefined outside Edge mode. */
  readonly edge?: EdgeState | undefined;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

/** A folder that the agent makes sockets in. */
export interface FolderState {
  readonly path: string;
  readonly purpose: string;
  /** The variable that names it. */
  readonly variable: string;
  /** Undefined when it can be written to. */
  readonly fault: string | undefined;
}

export function addressKey({
  address,
  gossipPort,
}: {
  readonly address: string;
  readonly gossipPort: number;
}): string {
  return `${address.includes(':') ? `[${address}]` : address}:${gossipPort}`;
}
