// Measures, when somebody asks, what stands between this member and the others: what each source of addresses says
// now, and how far one gets at each of them. Changes nothing: an address that proves membership is one that was sought.

import type { AddressDiagnosis, ClusterDiagnosis, SourceDiagnosis } from './cluster.ts';
import { dialTimeoutMs } from './dialer.ts';
import { type Finding, isHandshakeFailure } from './discovery.ts';
import { toCandidates } from './discovery-plan.ts';
import { knock } from './knock.ts';
import { type Entry, isLive } from './membership.ts';
import type { Endpoint, MemberNetwork } from './network.ts';

export interface DiagnosisNeeds {
  readonly network: Pick<MemberNetwork, 'dial' | 'isLinkedTo'>;
  readonly sources: (signal: AbortSignal) => Promise<readonly Finding[]>;
  /** What is known of other agents, the dead included. */
  readonly others: () => readonly Entry[];
  readonly isOwn: (endpoint: Endpoint) => boolean;
}

/** One address on the way to a diagnosis. */
interface Known {
  readonly endpoint: Endpoint;
  readonly sources: readonly string[];
  readonly entry: Entry | undefined;
}

/** With other secrets both sides wait for sense in each other's noise; a handshake takes some milliseconds. */
const handshakeTimeoutMs = 2 * dialTimeoutMs;
/** Each address costs two sockets for as long as it is silent. */
const maxParallelAddresses = 16;
/** More would tell nothing new, and take minutes when all are silent. */
const maxAddresses = 256;

/** `peerPort` is assumed where no record names another. */
export async function diagnose(
  needs: DiagnosisNeeds,
  peerPort: number,
  signal: AbortSignal,
): Promise<Pick<ClusterDiagnosis, 'sources' | 'addresses'>> {
  const findings = await needs.sources(signal);
  const known = gather(findings, needs);
  const addresses: AddressDiagnosis[] = [];
  for (let start = 0; start < known.length; start += maxParallelAddresses) {
    if (signal.aborted) break;
    const batch = known.slice(start, start + maxParallelAddresses);
    addresses.push(...(await Promise.all(batch.map((one) => diagnoseAddress(needs, one, peerPort)))));
  }
  return { sources: findings.map((finding) => toSource(finding, addresses, needs)), addresses };
}

/** Pure. Every address that a source or a record names, each once, this agent's own left out. */
export function gather(
  findings: readonly Finding[],
  { others, isOwn }: Pick<DiagnosisNeeds, 'others' | 'isOwn'>,
): readonly Known[] {
  const entries = others().filter((entry) => entry.state !== 'left');
  const fromRecords = entries.map(({ signed }) => endpointOf(signed.record));
  const found = findings.flatMap(({ endpoints }) => endpoints);
  return toCandidates([...fromRecords, ...found], isOwn)
    .slice(0, maxAddresses)
    .map((endpoint) => ({
      endpoint,
      sources: findings.filter((finding) => has(finding.endpoints, endpoint)).map(({ source }) => source),
      entry: newest(entries.filter(({ signed }) => isSame(endpointOf(signed.record), endpoint))),
    }));
}

/** A node that was set up anew leaves a dead record at its address. */
function newest(entries: readonly Entry[]): Entry | undefined {
  return entries.find(isLive) ?? entries.toSorted((a, b) => b.sinceWallMs - a.sinceWallMs)[0];
}

async function diagnoseAddress(
  needs: DiagnosisNeeds,
  { endpoint, sources, entry }: Known,
  assumedPeerPort: number,
): Promise<AddressDiagnosis> {
  const record = entry?.signed.record;
  const peerPort = record?.peerPort ?? assumedPeerPort;
  const [gossip, peer] = await Promise.all([
    knock(endpoint, dialTimeoutMs),
    knock({ address: endpoint.address, port: peerPort }, dialTimeoutMs),
  ]);
  const isMember = entry !== undefined && isLive(entry);
  return {
    address: endpoint.address,
    gossipPort: endpoint.port,
    peerPort,
    sources,
    nodeName: record?.nodeName,
    member: isMember ? 'live' : entry === undefined ? 'unknown' : 'missing',
    gossip,
    peer,
    handshake: isMember || gossip.kind !== 'open' ? undefined : await shakeHands(needs, endpoint),
  };
}

async function shakeHands(
  { network }: DiagnosisNeeds,
  endpoint: Endpoint,
): Promise<AddressDiagnosis['handshake']> {
  if (network.isLinkedTo(endpoint)) return 'done';
  try {
    await network.dial(endpoint, { peerId: undefined, timeoutMs: handshakeTimeoutMs, fresh: false });
    return 'done';
  } catch (error) {
    return isHandshakeFailure(error) ? 'refused' : 'failed';
  }
}

function toSource(
  { source, endpoints, fault }: Finding,
  addresses: readonly AddressDiagnosis[],
  { isOwn }: DiagnosisNeeds,
): SourceDiagnosis {
  const proved = addresses.filter(({ sources, member }) => member === 'live' && sources.includes(source));
  return {
    source,
    addresses: endpoints.map(({ address }) => address),
    own: endpoints.filter(isOwn).length,
    proved: proved.length,
    fault,
  };
}

function endpointOf({ address, gossipPort }: Entry['signed']['record']): Endpoint {
  return { address, port: gossipPort };
}

function has(endpoints: readonly Endpoint[], wanted: Endpoint): boolean {
  return endpoints.some((endpoint) => isSame(endpoint, wanted));
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}
