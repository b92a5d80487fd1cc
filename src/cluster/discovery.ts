// Finds other agents: by a DNS name, by the Swarm's task list, by static seeds; dials what is not yet a member.
// A source that fails is asked again for ever; what it said is logged when it changes, not each time.

import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import { dialTimeoutMs } from './dialer.ts';
import { isAlone, nextRoundMs, toCandidates } from './discovery-plan.ts';
import type { Endpoint, MemberNetwork } from './network.ts';
import { waitFor } from './wait.ts';

export interface DiscoveryNeeds {
  readonly network: MemberNetwork;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly lookup: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Addresses of the service's tasks; empty where the local engine is no manager. */
  readonly taskAddresses: (signal: AbortSignal) => Promise<readonly string[]>;
  /** Where live members beside this one are reached. */
  readonly memberEndpoints: () => readonly Endpoint[];
  readonly isOwn: (endpoint: Endpoint) => boolean;
  /** Every source answered, and there is nobody else. */
  readonly onAlone: () => void;
  /** At the start of each round. */
  readonly onRound: () => void;
}

export interface DiscoveryOptions {
  /** Name that resolves to all agents. */
  readonly host: string | undefined;
  readonly seeds: readonly Endpoint[];
  /** Gossip port of agents that are found by address only. */
  readonly port: number;
  readonly own: Endpoint;
}

/** What one source of addresses answered. */
export interface Finding {
  readonly source: string;
  readonly endpoints: readonly Endpoint[];
  readonly fault: string | undefined;
}

interface Report {
  round(findings: readonly Finding[], proved: number): void;
  refused(target: Endpoint): void;
}

/** Dials of one round in the air together; the rest follows within the round. */
const maxParallelDials = 16;
/** Of two agents that find each other in the same moment the one with the smaller address dials; the other waits. */
const yieldMs = 300;
/** The same trouble is logged again after so long. */
const repeatWarningMs = 300_000;

/** Runs until the abort. */
export async function discover(
  needs: DiscoveryNeeds,
  options: DiscoveryOptions,
  signal: AbortSignal,
): Promise<void> {
  const report = createReport(needs);
  while (!signal.aborted) {
    needs.onRound();
    const findings = await askSources(needs, options, signal);
    const found = findings.flatMap((finding) => finding.endpoints);
    const candidates = toCandidates(found, needs.isOwn);
    await dialAll(needs, options, unmatched(needs, candidates), report, signal);
    if (signal.aborted) return;
    const round = {
      others: needs.memberEndpoints().length,
      faults: findings.filter((finding) => finding.fault !== undefined).length,
      unmatched: unmatched(needs, candidates).length,
    };
    report.round(findings, candidates.length - round.unmatched);
    if (isAlone(round)) needs.onAlone();
    await waitFor(needs.clock, nextRoundMs(round, needs.random), signal);
  }
}

/** What every source says now. Never rejects: a source that fails says so in its finding. */
export async function askSources(
  needs: Pick<DiscoveryNeeds, 'lookup' | 'taskAddresses'>,
  options: DiscoveryOptions,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { host, port, seeds } = options;
  const sources: Promise<Finding>[] = [ask('tasks', port, () => needs.taskAddresses(signal))];
  if (host !== undefined) sources.push(ask('dns', port, () => needs.lookup(host, signal)));
  for (const seed of seeds) {
    sources.push(ask(`seed ${seed.address}`, seed.port, () => needs.lookup(seed.address, signal)));
  }
  return Promise.all(sources);
}

async function ask(source: string, port: number, find: () => Promise<readonly string[]>): Promise<Finding> {
  try {
    const endpoints = (await find()).map((address) => ({ address, port }));
    return { source, endpoints, fault: undefined };
  } catch (error) {
    return { source, endpoints: [], fault: reasonOf(error) };
  }
}

function unmatched(needs: DiscoveryNeeds, candidates: readonly Endpoint[]): readonly Endpoint[] {
  const members = new Set(needs.memberEndpoints().map(keyOf));
  return candidates.filter((candidate) => !members.has(keyOf(candidate)));
}

async function dialAll(
  needs: DiscoveryNeeds,
  options: DiscoveryOptions,
  targets: readonly Endpoint[],
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const first = targets.filter((target) => keyOf(options.own) < keyOf(target));
  await inBatches(first, (target) => dial(needs, target, report), signal);
  const second = targets.filter((target) => !first.includes(target));
  if (second.length > 0) await waitFor(needs.clock, yieldMs, signal);
  await inBatches(second, (target) => dial(needs, target, report), signal);
}

async function inBatches(
  targets: readonly Endpoint[],
  dialOne: (target: Endpoint) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (let start = 0; start < targets.length && !signal.aborted; start += maxParallelDials) {
    await Promise.all(targets.slice(start, start + maxParallelDials).map(dialOne));
  }
}

/** Best effort: who does not answer is dialled again in the next round. */
async function dial(needs: DiscoveryNeeds, target: Endpoint, report: Report): Promise<void> {
  if (needs.network.isLinkedTo(target)) return;
  try {
    await needs.network.dial(target, { peerId: undefined, timeoutMs: dialTimeoutMs, fresh: false });
  } catch (error) {
    needs.log.debug('agent not reached', { address: target.address, reason: reasonOf(error) });
    if (isHandshakeFailure(error)) report.refused(target);
  }
}

/** With another pre-shared key the other side hears noise and hangs up: no clearer sign than this exists. */
export function isHandshakeFailure(error: unknown): boolean {
  return (
    error instanceof Error && error.cause instanceof Error && error.cause.name === 'EncryptionFailedError'
  );
}

/** Logs what discovery found when that changes, and refused handshakes now and then. */
function createReport(needs: DiscoveryNeeds): Report {
  let last = '';
  let warnedMs = Number.NEGATIVE_INFINITY;
  return {
    round: (findings, proved) => {
      const said = findings.map((finding) => [finding.source, finding.fault ?? finding.endpoints.length]);
      const text = JSON.stringify([said, proved]);
      if (text === last) return;
      last = text;
      // For example `dns gave 3, tasks gave 0, 2 proved membership`: enough to see which link of the chain is missing.
      needs.log.info('discovery', { found: Object.fromEntries(said), proved });
    },
    refused: (target) => {
      if (needs.clock.monotonicMs() - warnedMs < repeatWarningMs) return;
      warnedMs = needs.clock.monotonicMs();
      needs.log.warn('agent refused our handshake; do all agents have the same cluster secret?', {
        address: target.address,
      });
    },
  };
}

function keyOf(endpoint: Endpoint): string {
  return `${endpoint.address} ${endpoint.port}`;
}
