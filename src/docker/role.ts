// Decides what an engine is from its own answers: names, versions, and its place in the Swarm. Pure.
// Every field of an answer may be absent: engines, Podman and half-joined Swarms leave some out.

import { AgentError } from '../errors.ts';
import type { EngineFacts, SwarmFacts, SwarmNode } from './docker.ts';

/** The part of `GET /info` that is used. */
export interface RawInfo {
  readonly ID?: string;
  readonly Name?: string;
  readonly DockerRootDir?: string;
  readonly Swarm?: {
    readonly NodeID?: string;
    readonly ControlAvailable?: boolean;
    readonly Cluster?: { readonly ID?: string } | null;
  };
}

export interface RawVersion {
  readonly Version?: string;
  readonly ApiVersion?: string;
  readonly MinAPIVersion?: string;
  readonly Os?: string;
}

export interface RawNode {
  readonly ID?: string;
  readonly Spec?: { readonly Role?: string };
  readonly Description?: {
    readonly Hostname?: string;
    readonly Engine?: { readonly EngineVersion?: string };
  };
  readonly Status?: { readonly State?: string; readonly Addr?: string };
  /** `Addr` is with its port. */
  readonly ManagerStatus?: { readonly Leader?: boolean; readonly Addr?: string } | null;
}

/** Podman answers without some of these; what stands in is what it would mean. */
const fallback = { rootDir: '/var/lib/docker', minApiVersion: '1.24', osType: 'linux' };

/** `node` is the answer about this node itself; undefined on a worker, outside a Swarm, or without a quorum. */
export function toFacts(info: RawInfo, version: RawVersion, node: RawNode | undefined): EngineFacts {
  const nodeName = required(info.Name, 'Name');
  const apiVersion = required(version.ApiVersion, 'ApiVersion');
  return {
    // Podman has no engine id; the node's name is what it is known by.
    engineId: orElse(info.ID, nodeName),
    nodeName,
    engineVersion: orElse(version.Version, 'unknown'),
    apiVersion,
    minApiVersion: orElse(version.MinAPIVersion, fallback.minApiVersion),
    osType: orElse(version.Os, fallback.osType),
    rootDir: orElse(info.DockerRootDir, fallback.rootDir),
    swarm: toSwarmFacts(info, node),
  };
}

/** The Swarm node id of a manager; undefined for a worker and outside a Swarm: they cannot be asked about nodes. */
export function managerNodeId({ Swarm }: RawInfo): string | undefined {
  return Swarm?.ControlAvailable === true ? presentOrUndefined(Swarm.NodeID) : undefined;
}

/** Nodes without an id or a name are left out: nothing could be said of them. */
export function toSwarmNodes(nodes: readonly RawNode[]): readonly SwarmNode[] {
  return nodes.flatMap((node) => {
    const nodeId = presentOrUndefined(node.ID);
    const nodeName = presentOrUndefined(node.Description?.Hostname);
    if (nodeId === undefined || nodeName === undefined) return [];
    return {
      nodeId,
      nodeName,
      role: node.Spec?.Role === 'manager' ? 'manager' : 'worker',
      address: addressOf(node),
      state: presentOrUndefined(node.Status?.State) ?? 'unknown',
      engineVersion: presentOrUndefined(node.Description?.Engine?.EngineVersion),
    };
  });
}

/** The first manager says 0.0.0.0 or 127.0.0.1 of itself; its manager address is the real one. */
function addressOf({ Status, ManagerStatus }: RawNode): string | undefined {
  const told = presentOrUndefined(Status?.Addr);
  const isReal = told !== undefined && told !== '0.0.0.0' && !told.startsWith('127.');
  return isReal ? told : ManagerStatus?.Addr?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

export function sameFacts(a: EngineFacts | undefined, b: EngineFacts): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

function toSwarmFacts({ Swarm }: RawInfo, node: RawNode | undefined): SwarmFacts | undefined {
  const nodeId = presentOrUndefined(Swarm?.NodeID);
  if (nodeId === undefined) return undefined;
  const isManager = Swarm?.ControlAvailable === true;
  return {
    nodeId,
    clusterId: presentOrUndefined(Swarm?.Cluster?.ID),
    role: isManager ? 'manager' : 'worker',
    leader: isManager && node?.ManagerStatus?.Leader === true,
  };
}

function required(text: string | undefined, field: string): string {
  const present = presentOrUndefined(text);
  if (present === undefined) {
    throw new AgentError('protocol-violation', `read facts of the engine: it gave no ${field}`);
  }
  return present;
}

function orElse(text: string | undefined, otherwise: string): string {
  return presentOrUndefined(text) ?? otherwise;
}

function presentOrUndefined(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
