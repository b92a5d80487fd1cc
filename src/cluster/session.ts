// The life of a cluster member: find the own address, listen, take part, and step down for a newer process of the same
// engine. It runs until it is aborted, and then says goodbye; whatever fails on the way is tried again.

import type { EngineFacts, OwnContainer } from '../docker/docker.ts';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { ClusterDiagnosis, ClusterOptions, ClusterProgress, MemberRecord } from './cluster.ts';
import { Detector } from './detector.ts';
import { diagnose } from './diagnosis.ts';
import { askSources, type DiscoveryNeeds, discover, type Finding } from './discovery.ts';
import { isListening } from './knock.ts';
import { type Entry, isLive } from './membership.ts';
import type { Endpoint, MemberNetwork } from './network.ts';
import { findOwnPlace, localAddresses, type OwnPlace } from './own-address.ts';
import type { Identity } from './record.ts';
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
const knockTimeoutMs = 1_000;
/** How often an agent that stepped down looks whether the newer one is still there. */
const rivalCheckMs = 3_000;
/** Misses in a row before it takes its place again. */
const maxRivalMisses = 2;

export async function runSession(
  needs: SessionNeeds,
  options: ClusterOptions,
  signal: AbortSignal,
): Promise<void> {
  let highestSeen = 0;
  let logged = '';
  while (!signal.aborted) {
    const inSwarm = (): boolean => needs.facts().swarm !== undefined;
    // After a failure the reason is worth more than the step that follows it.
    if (logged === '') needs.onPhase({ kind: 'finding-address' });
    const place = await findOwnPlace({ ...needs, inSwarm }, options, signal);
    if (place === undefined) return;
    try {
      const rival = await takePart(needs, options, place, highestSeen, signal);
      if (rival === undefined) return;
      highestSeen = rival.generation;
      needs.onPhase({ kind: 'stepped-down', address: rival.address });
      await outwait(needs, rival, signal);
    } catch (error) {
      if (reasonOf(error) !== logged)
        needs.log.error('gossip not started; trying again', { reason: reasonOf(error) });
      logged = reasonOf(error);
      needs.onPhase({ kind: 'failed', reason: logged });
      await waitFor(needs.clock, retryMs, signal);
    }
  }
}

/** Returns the process that we stepped down for, or undefined after an abort. */
async function takePart(
  needs: SessionNeeds,
  options: ClusterOptions,
  place: OwnPlace,
  highestSeen: number,
  signal: AbortSignal,
): Promise<MemberRecord | undefined> {
  const peerPort = await needs.onAdvertise(place.address.advertise, place.address.listen);
  const network = needs.createNetwork();
  const { advertise, listen } = place.address;
  const own = { address: advertise, port: options.gossipPort };
  const ended = new AbortController();
  let rival: MemberRecord | undefined;
  const stepDown = (newer: MemberRecord): void => {
    rival = newer;
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
      onRival: createRivalCheck(own, needs.log, (record) => detector.outlive(record.generation), stepDown),
    },
    { ...options, highestSeen },
  );
  const running = AbortSignal.any([signal, ended.signal]);
  const search: DiscoveryNeeds = {
    ...needs,
    network,
    taskAddresses: (abort) =>
      place.serviceName === undefined ? Promise.resolve([]) : needs.taskAddresses(place.serviceName, abort),
    memberEndpoints: () => othersOf(detector),
    isOwn: (endpoint) => isOwnEndpoint(endpoint, own),
    onAlone: () => detector.markAlone(),
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
      diagnose: (abort) =>
        diagnose(
          {
            ...search,
            sources: async (within) => nameSources(await askSources(search, where, within), place),
            others: () => othersKnownTo(detector),
          },
          peerPort,
          AbortSignal.any([abort, running]),
        ),
    });
    await discover(search, where, running);
    // An agent that stepped down leaves without a word: the newer one speaks for the engine.
    if (rival === undefined) await detector.leave();
  } finally {
    ended.abort();
    detector.stop();
    await network.stop();
    needs.onChange(undefined);
  }
  return rival;
}

/** Waits until the newer process is gone, or for ever. */
async function outwait(needs: SessionNeeds, rival: MemberRecord, signal: AbortSignal): Promise<void> {
  const { address, gossipPort, generation } = rival;
  needs.log.warn('a newer agent of this engine took over; stepping down', { address, generation });
  let misses = 0;
  while (!signal.aborted && misses < maxRivalMisses) {
    await waitFor(needs.clock, rivalCheckMs, signal);
    misses = (await isListening({ address, port: gossipPort }, knockTimeoutMs)) ? 0 : misses + 1;
  }
  if (!signal.aborted) needs.log.info('the newer agent of this engine is gone; joining again', { address });
}

/**
 * A record with a newer start than ours may be what a dead process left behind (its clock was ahead). Only one that
 * still listens, elsewhere than here, makes us step down.
 */
function createRivalCheck(
  own: Endpoint,
  log: Logger,
  outlive: (record: MemberRecord) => void,
  stepDown: (record: MemberRecord) => void,
): (record: MemberRecord) => void {
  let checking = false;
  const check = async (record: MemberRecord): Promise<void> => {
    const endpoint = { address: record.address, port: record.gossipPort };
    const alive = !isOwnEndpoint(endpoint, own) && (await isListening(endpoint, knockTimeoutMs));
    if (alive) stepDown(record);
    else outlive(record);
  };
  return (record) => {
    if (checking) return;
    checking = true;
    check(record)
      .catch((error: unknown) => log.error('rival not checked', { reason: reasonOf(error) }))
      .finally(() => {
        checking = false;
      });
  };
}

/** For people: the name that DNS was asked for; the task list only where there is a service to have tasks. */
function nameSources(findings: readonly Finding[], { host, serviceName }: OwnPlace): readonly Finding[] {
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
function isOwnEndpoint(endpoint: Endpoint, own: Endpoint): boolean {
  if (endpoint.port !== own.port) return false;
  return endpoint.address === own.address || localAddresses().includes(endpoint.address);
}

function toEndpoint(seed: { readonly host: string; readonly port: number }): Endpoint {
  return { address: seed.host, port: seed.port };
}
