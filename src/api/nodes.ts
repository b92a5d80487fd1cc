// The nodes of the cluster for `flotilla nodes`: members as measured now, members that are missing, and nodes of the
// Swarm on which no agent was ever seen.

import type { ClusterView, Member, MemberRecord, MissingMember } from '../cluster/cluster.ts';
import type { SwarmNode } from '../docker/docker.ts';
import type { PeerMeasure } from './peer-measure.ts';

/** The answer of `GET /nodes` on the control socket, and of `flotilla nodes --json`. Its keys are kept. */
export interface NodesReport {
  /** `alone`: this agent was not told to cluster. */
  readonly cluster: 'joining' | 'joined' | 'alone';
  /** Wall clock of this report, milliseconds. */
  readonly atMs: number;
  /** Ordered by name. */
  readonly nodes: readonly ListedNode[];
}

export interface ListedNode {
  readonly name: string;
  /** Swarm node id; the engine id where there is no Swarm. */
  readonly id: string;
  /** The node that was asked. */
  readonly self: boolean;
  /** Null outside a Swarm. */
  readonly role: 'manager' | 'worker' | null;
  readonly leader: boolean;
  /** `no-agent`: the Swarm has it, but no agent there has ever been heard. */
  readonly state: 'alive' | 'suspect' | 'missing' | 'no-agent';
  readonly address: string | null;
  readonly engineVersion: string | null;
  readonly apiVersion: string | null;
  readonly minApiVersion: string | null;
  readonly agentVersion: string | null;
  /** Of a request to its agent; null when it did not answer. */
  readonly rttMs: number | null;
  /** Wall clock, milliseconds; of a missing one the moment it was declared so, some seconds after its last word. */
  readonly lastSeenMs: number | null;
  /** Why its agent did not answer just now, though it is a member; null when it did. */
  readonly fault: string | null;
}

export interface NodesNeeds {
  readonly view: () => ClusterView;
  readonly isClustered: () => boolean;
  /** Undefined where the local engine is no manager. */
  readonly swarmNodes: (signal: AbortSignal) => Promise<readonly SwarmNode[] | undefined>;
  readonly measure: (member: Member, signal: AbortSignal) => Promise<PeerMeasure>;
  /** Wall clock, milliseconds. */
  readonly nowMs: () => number;
}

/** Members measured at the same time: one socket each. */
const maxParallelMeasures = 32;

export async function readNodes(needs: NodesNeeds, signal: AbortSignal): Promise<NodesReport> {
  const view = needs.view();
  const [measures, swarmNodes] = await Promise.all([
    measureAll(
      view.members.filter(({ self }) => !self),
      (member) => needs.measure(member, signal),
    ),
    // A manager without a quorum cannot tell; the members are worth showing all the same.
    needs.swarmNodes(signal).catch(() => undefined),
  ]);
  const cluster = needs.isClustered() ? view.state : 'alone';
  return toNodesReport({ view, cluster, measures, swarmNodes: swarmNodes ?? [], nowMs: needs.nowMs() });
}

export interface NodesFacts {
  readonly view: Pick<ClusterView, 'members' | 'missing'>;
  readonly cluster: NodesReport['cluster'];
  readonly measures: ReadonlyMap<Member, PeerMeasure>;
  readonly swarmNodes: readonly SwarmNode[];
  readonly nowMs: number;
}

/** Pure. */
export function toNodesReport({ view, cluster, measures, swarmNodes, nowMs }: NodesFacts): NodesReport {
  const members = view.members.map((member) => toListed(member, measures.get(member), nowMs));
  const missing = view.missing.map(toMissing);
  const known = new Set([...members, ...missing].flatMap(({ id, name }) => [id, name]));
  const silent = swarmNodes.filter(({ nodeId, nodeName }) => !known.has(nodeId) && !known.has(nodeName));
  const nodes = [...members, ...missing, ...silent.map(toSilent)];
  return { cluster, atMs: nowMs, nodes: nodes.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** One measure of each member, some of them at a time; a measure never rejects. */
export async function measureAll(
  members: readonly Member[],
  measure: (member: Member) => Promise<PeerMeasure>,
): Promise<ReadonlyMap<Member, PeerMeasure>> {
  const measures = new Map<Member, PeerMeasure>();
  for (let start = 0; start < members.length; start += maxParallelMeasures) {
    const batch = members.slice(start, start + maxParallelMeasures);
    const measured = await Promise.all(batch.map(measure));
    for (const [index, member] of batch.entries()) {
      const one = measured[index];
      if (one !== undefined) measures.set(member, one);
    }
  }
  return measures;
}

function toListed(
  { record, self, state }: Member,
  measure: PeerMeasure | undefined,
  nowMs: number,
): ListedNode {
  const told = measure?.clock?.kind === 'told' ? measure.clock : undefined;
  const answered = self || told !== undefined;
  return {
    ...fromRecord(record),
    self,
    state,
    rttMs: told === undefined ? null : Math.round(told.rttMs * 100) / 100,
    lastSeenMs: answered ? nowMs : null,
    fault: answered ? null : faultOf(measure),
  };
}

function faultOf(measure: PeerMeasure | undefined): string {
  if (measure?.connection.kind === 'failed') return measure.connection.reason;
  switch (measure?.clock?.kind) {
    case 'not-member':
      return 'it does not count this agent among its members';
    case 'unknown-path':
      return 'its agent is too old to be measured';
    case 'failed':
      return measure.clock.reason;
    case 'told':
    case undefined:
      return 'not measured';
  }
}

function toMissing({ nodeName, engineId, sinceMs, record }: MissingMember): ListedNode {
  const known = record === undefined ? { ...unknown, name: nodeName, id: engineId } : fromRecord(record);
  return {
    ...known,
    self: false,
    leader: false,
    state: 'missing',
    rttMs: null,
    lastSeenMs: sinceMs,
    fault: null,
  };
}

function toSilent({ nodeId, nodeName, role, address, state, engineVersion }: SwarmNode): ListedNode {
  return {
    ...unknown,
    name: nodeName,
    id: nodeId,
    role,
    address: address ?? null,
    engineVersion: engineVersion ?? null,
    self: false,
    state: 'no-agent',
    rttMs: null,
    lastSeenMs: null,
    fault: state === 'ready' ? null : `the Swarm says: ${state}`,
  };
}

type FromRecord = Omit<ListedNode, 'self' | 'state' | 'rttMs' | 'lastSeenMs' | 'fault'>;

const unknown = {
  role: null,
  leader: false,
  address: null,
  engineVersion: null,
  apiVersion: null,
  minApiVersion: null,
  agentVersion: null,
} as const;

function fromRecord(record: MemberRecord): FromRecord {
  const { nodeName, nodeId, role, leader, address, engineVersion, apiVersion, minApiVersion, agentVersion } =
    record;
  return {
    name: nodeName,
    id: nodeId,
    role: role ?? null,
    leader,
    address,
    engineVersion,
    apiVersion,
    minApiVersion,
    agentVersion,
  };
}
