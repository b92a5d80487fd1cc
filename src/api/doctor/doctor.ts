// Examines the cluster from this agent: measures everything at once, within a deadline, then says what was found.

import { access, constants } from 'node:fs/promises';
import { connect } from 'node:tls';
import type { ClusterDiagnosis, ClusterView, Member } from '../../cluster/cluster.ts';
import type { EngineFacts, EngineHealth, SwarmNode } from '../../docker/docker.ts';
import type { EdgeState } from '../../edge/edge.ts';
import { nodeCode, reasonOf } from '../../errors.ts';
import { measureAll } from '../nodes.ts';
import type { PeerMeasure } from '../peer-measure.ts';
import { checkEdge } from './edge.ts';
import { addressKey, type DoctorFacts, type FolderState } from './facts.ts';
import { checkLocal } from './local.ts';
import { checkMembers, checkRest } from './members.ts';
import { checkPaths } from './paths.ts';
import { type DoctorReport, toReport } from './report.ts';

export interface DoctorNeeds {
  readonly engine: () => EngineHealth;
  readonly facts: () => EngineFacts;
  readonly view: () => ClusterView;
  readonly diagnose: (signal: AbortSignal) => Promise<ClusterDiagnosis>;
  readonly swarmNodes: (signal: AbortSignal) => Promise<readonly SwarmNode[] | undefined>;
  readonly measure: (member: Member, signal: AbortSignal) => Promise<PeerMeasure>;
  /** Where this agent makes sockets. */
  readonly folders: () => Promise<readonly Folder[]>;
  /** Undefined outside Edge mode. */
  readonly edge: () => EdgeState | undefined;
  /** Wall clock, milliseconds. */
  readonly nowMs: () => number;
}

export interface DoctorOptions {
  readonly dockerSocket: string;
  readonly hasSecret: boolean;
}

export type Folder = Omit<FolderState, 'fault'>;

const tlsTimeoutMs = 2_000;

export async function examine(
  needs: DoctorNeeds,
  options: DoctorOptions,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const facts = await gather(needs, options, signal);
  const { members, self } = facts.view;
  const names = members.map(({ record }) => record.nodeName);
  return toReport({ node: self.record.nodeName, members: names, atMs: facts.nowMs }, findings(facts));
}

/** Pure. In the order of the way from this node to the others. */
export function findings(facts: DoctorFacts): DoctorReport['checks'] {
  const checks = [...checkLocal(facts), ...checkEdge(facts), ...checkMembers(facts), ...checkPaths(facts)];
  return [...checks, ...checkRest(facts, checks)];
}

async function gather(
  needs: DoctorNeeds,
  { dockerSocket, hasSecret }: DoctorOptions,
  signal: AbortSignal,
): Promise<DoctorFacts> {
  const view = needs.view();
  const others = view.members.filter(({ self }) => !self);
  const [diagnosis, measures, swarmNodes, folderStates] = await Promise.all([
    needs.diagnose(signal),
    measureAll(others, (member) => needs.measure(member, signal)),
    // An engine that does not answer has a finding of its own.
    needs.swarmNodes(signal).catch(() => undefined),
    needs.folders().then((folders) => Promise.all(folders.map(examineFolder))),
  ]);
  return {
    engine: needs.engine(),
    facts: needs.facts(),
    dockerSocket,
    folders: folderStates,
    view,
    hasSecret,
    diagnosis,
    measures,
    speakTls: await findSpeakers(diagnosis),
    swarmNodes,
    edge: needs.edge(),
    nowMs: needs.nowMs(),
  };
}

async function examineFolder(folder: Folder): Promise<FolderState> {
  try {
    await access(folder.path, constants.W_OK | constants.X_OK);
    return { ...folder, fault: undefined };
  } catch (error) {
    const fault = nodeCode(error) === 'ENOENT' ? 'it does not exist' : reasonOf(error);
    return { ...folder, fault };
  }
}

/** An agent whose gossip refused us but whose peer port speaks TLS is alive: only its secret can differ. */
async function findSpeakers({ addresses }: ClusterDiagnosis): Promise<ReadonlySet<string>> {
  const doubtful = addresses.filter(
    ({ handshake, peer }) => (handshake === 'failed' || handshake === 'refused') && peer.kind === 'open',
  );
  const keys = await Promise.all(
    doubtful.map(async (path) => ((await speaksTls(path.address, path.peerPort)) ? [addressKey(path)] : [])),
  );
  return new Set(keys.flat());
}

/** Whether a TLS handshake completes; nothing is sent, and the certificate does not matter. */
function speaksTls(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, rejectUnauthorized: false });
  socket.setTimeout(tlsTimeoutMs, () => resolve(false));
  socket.once('secureConnect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
