// Decides what an engine is from its own answers: names, versions, and its place in the Swarm. Pure.
// Every field of an answer may be absent: engines, Podman and half-joined Swarms leave some out.

import { AgentError } from '../errors.ts';
import type { EngineFacts, SwarmFacts } from './docker.ts';

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
}

export interface RawNode {
  readonly ManagerStatus?: { readonly Leader?: boolean } | null;
}

/** Podman answers without some of these; what stands in is what it would mean. */
const fallback = { rootDir: '/var/lib/docker', minApiVersion: '1.24' };

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
    rootDir: orElse(info.DockerRootDir, fallback.rootDir),
    swarm: toSwarmFacts(info, node),
  };
}

/** The Swarm node id of a manager; undefined for a worker and outside a Swarm: they cannot be asked about nodes. */
export function managerNodeId({ Swarm }: RawInfo): string | undefined {
  return Swarm?.ControlAvailable === true ? presentOrUndefined(Swarm.NodeID) : undefined;
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
