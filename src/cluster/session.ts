// The life of a cluster member: find the own address, listen, take part, and step down for a newer process of the same
// engine. It runs until it is aborted, and then says goodbye; whatever fails on the way is tried again.

import type { EngineFacts, OwnContainer } from '../docker/docker.ts';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { ClusterDiagnosis, ClusterOptions, ClusterProgress, MemberRecord } from './cluster.ts';
import { Detector } from './detector.ts';
import { diagnose } from './diagnosis.ts';
import {
  askSources,
  type DiscoveryNeeds,
  type DiscoveryOptions,
  discover,
  type Finding,
} from './discovery.ts';
import { type Entry, isLive } from './membership.ts';
import type { Endpoint, MemberNetwork } from './network.ts';
import { createPlaceCheck, findOwnPlace, type OwnAddressNeeds, type OwnPlace } from './own-address.ts';
import type { Identity } from './record.ts';
import { createRivalCheck, outwait } from './rival.ts';
import type { SelfDescription } from './self-record.ts';
import { waitFor } from './wait.ts';

export interface SessionNeeds {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly identity: Identity;
  readonly facts: () => EngineFacts;
  readonly ownContainer: (signal: AbortSignal) => Promise<OwnContainer | undefined>;
  readonly taskAddresses: (service: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly lookup: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** All addresses of this host or container that others can reach. */
  readonly localAddresses: () => readonly string[];
  readonly describe: (address: string, peerPort: number) => SelfDescription;
  readonly onAdvertise: (address: string, listen: string) => Promise<number>;
  readonly createNetwork: () => MemberNetwork;
  /** The detector in charge, or none; called at each change of either. */
  readonly onChange: (detector: Detector | undefined) => void;
  /** How far the session has come, told at each step. */
  readonly onPhase: (phase: SessionPhase) => void;
}

export type SessionPhase =
  | Exclude<ClusterProgress, { readonly kind: 'alone' | 'running' }>
  | (Extract<ClusterProgress, { readonly kind: 'running' }> & {
      readonly diagnose: (signal: AbortSignal) => Promise<Pick<ClusterDiagnosis, 'sources' | 'addresses'>>;
    });

const retryMs = 1_000;

export async function runSession(
  needs: SessionNeeds,
  options: ClusterOptions,
  signal: AbortSignal,
): Promise<void> {
  let highestSeen = 0;
  let logged = '';
  let next: OwnPlace | undefined;
  while (!signal.aborted) {
    // After a failure the reason is worth more than the step that follows it.
    if (logged === '') needs.onPhase({ kind: 'finding-address' });
    const place = next ?? (await findOwnPlace(placeNeeds(needs), options, signal));
    next = undefined;
    if (place === undefined) return;
    try {
      const ending = await takePart(needs, options, place, highestSeen, signal);
      if (ending === undefined) return;
      highestSeen = ending.generation;
      if (ending.kind === 'moved') {
        next = ending.place;
        needs.log.warn('this host lost the address that the others knew; taking another', {
          lost: place.address.advertise,
          address: next.address.advertise,
        });
        continue;
      }
      const { rival } = ending;
      needs.onPhase({ kind: 'stepped-down', address: rival.address });
      await outwait({ ...needs, ownPeerId: needs.identity.peerId }, needs.createNetwork(), rival, signal);
    } catch (error) {
      if (reasonOf(error) !== logged)
        needs.log.error('gossip not started; trying again', { reason: reasonOf(error) });
      logged = reasonOf(error);
      needs.onPhase({ kind: 'failed', reason: logged });
      await waitFor(needs.clock, retryMs, signal);
    }
  }
}

/** Why an agent took part no longer, and the highest generation of its engine that it saw. */
type Ending =
  | { readonly kind: 'rival'; readonly rival: MemberRecord; readonly generation: number }
  | { readonly kind: 'moved'; readonly place: OwnPlace; readonly generation: number };

/** Returns undefined after an abort. */
async function takePart(
  needs: SessionNeeds,
  options: ClusterOptions,
  place: OwnPlace,
  highestSeen: number,
  signal: AbortSignal,
): Promise<Ending | undefined> {
  const peerPort = await needs.onAdvertise(place.address.advertise, place.address.listen);
  const network = needs.createNetwork();
  const { advertise, listen } = place.address;
  const own = { address: advertise, port: options.gossipPort };
  const ended = new AbortController();
  let ending: Ending | undefined;
  const end = (reason: Ending): void => {
    ending ??= reason;
    ended.abort();
  };
  const detector: Detector = new Detector(
    {
      ...needs,
      network,
      describe: () => ({
        self: needs.describe(advertise, peerPort),
        swarmId: needs.facts().swarm?.clusterId,
      }),
      onChange: () => needs.onChange(detector),
      onRival: (record) => checkRival(record),
    },
    { ...options, highestSeen },
  );
  const running = AbortSignal.any([signal, ended.signal]);
  const checkRival = createRivalCheck(
    {
      ...needs,
      ownPeerId: needs.identity.peerId,
      network,
      isOwn: (endpoint) => isOwnEndpoint(endpoint, own, needs.localAddresses()),
      outlive: ({ generation }) => detector.outlive(generation),
      stepDown: (rival) => end({ kind: 'rival', rival, generation: rival.generation }),
    },
    running,
  );
  const search = {
    ...createSearch(needs, place, network, detector, own),
    onRound: createPlaceCheck(
      placeNeeds(needs),
      options,
      place,
      (found) => end({ kind: 'moved', place: found, generation: detector.self().generation }),
      running,
    ),
  };
  const where = { host: place.host, seeds: options.seeds.map(toEndpoint), port: options.gossipPort, own };
  try {
    await network.start({ address: listen, port: options.gossipPort }, detector);
    needs.log.info('gossip listens', { listen, advertise, port: options.gossipPort });
    detector.start();
    needs.onChange(detector);
    needs.onPhase({
      kind: 'running',
      ...place.address,
      reason: place.reason,
      diagnose: (abort) => {
        const sources = (within: AbortSignal): Promise<readonly Finding[]> =>
          askNamed(search, where, place, within);
        const others = (): readonly Entry[] => othersKnownTo(detector);
        return diagnose({ ...search, sources, others }, peerPort, AbortSignal.any([abort, running]));
      },
    });
    await discover(search, where, running);
    // An agent that stepped down leaves without a word: the newer one speaks for the engine. So does one that moves.
    if (ending === undefined) await detector.leave();
  } finally {
    ended.abort();
    detector.stop();
    await network.stop();
    needs.onChange(undefined);
  }
  return ending;
}

function placeNeeds(needs: SessionNeeds): OwnAddressNeeds {
  return { ...needs, inSwarm: () => needs.facts().swarm !== undefined };
}

function createSearch(
  needs: SessionNeeds,
  { serviceName }: OwnPlace,
  network: MemberNetwork,
  detector: Detector,
  own: Endpoint,
): Omit<DiscoveryNeeds, 'onRound'> {
  return {
    ...needs,
    network,
    taskAddresses: (abort) =>
      serviceName === undefined ? Promise.resolve([]) : needs.taskAddresses(serviceName, abort),
    memberEndpoints: () => othersOf(detector),
    isOwn: (endpoint) => isOwnEndpoint(endpoint, own, needs.localAddresses()),
    onAlone: () => detector.markAlone(),
  };
}

/** For people: the name that DNS was asked for; the task list only where there is a service to have tasks. */
async function askNamed(
  needs: DiscoveryNeeds,
  options: DiscoveryOptions,
  { host, serviceName }: OwnPlace,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const findings = await askSources(needs, options, signal);
  return findings
    .filter(({ source }) => source !== 'tasks' || serviceName !== undefined)
    .map((finding) => (finding.source === 'dns' ? { ...finding, source: `dns ${host}` } : finding));
}

function othersKnownTo(detector: Detector): readonly Entry[] {
  const self = detector.self();
  return detector.entries().filter(({ signed }) => signed.record.engineId !== self.engineId);
}

function othersOf(detector: Detector): readonly Endpoint[] {
  return othersKnownTo(detector)
    .filter(isLive)
    .map((entry) => ({ address: entry.signed.record.address, port: entry.signed.record.gossipPort }));
}

/** Also under another address of this host: a name may resolve to each of them. */
function isOwnEndpoint(endpoint: Endpoint, own: Endpoint, local: readonly string[]): boolean {
  if (endpoint.port !== own.port) return false;
  return endpoint.address === own.address || local.includes(endpoint.address);
}

function toEndpoint(seed: { readonly host: string; readonly port: number }): Endpoint {
  return { address: seed.host, port: seed.port };
}
