// Decides the address that other agents reach this one at, and the one that the gossip listens on.
// Pure and deterministic: the agent it replaces takes the first network in random order (agent-api.md 2.3).

import { isIP } from 'node:net';
import type { OwnContainer } from '../docker/docker.ts';
import { compareText } from './membership.ts';

export interface AddressFacts {
  /** What the operator set, resolved to a literal address. */
  readonly advertiseAddr: string | undefined;
  /** Undefined outside a container. */
  readonly container: OwnContainer | undefined;
  readonly inSwarm: boolean;
  /** What the name of the agents resolves to; includes this agent's own address once Docker's DNS knows it. */
  readonly answers: readonly string[];
  /** The address that the kernel would send from, towards a seed or the default route. */
  readonly routeAddress: string | undefined;
  /** All addresses of this host or container. */
  readonly localAddresses: readonly string[];
}

/** Why that address, in words for an operator. */
export function explainOwnAddress(facts: AddressFacts, { advertise }: OwnAddress): string {
  if (facts.advertiseAddr !== undefined) return 'set by FLOTILLA_ADVERTISE_ADDR';
  const network = facts.container?.addresses.find(({ address }) => address === advertise)?.network;
  if (network === undefined) return 'the address that this host sends from towards the others';
  const known = facts.answers.includes(advertise) ? ", and the agents' name resolves to it" : '';
  return `the container's address on the network ${network}${known}`;
}

export interface OwnAddress {
  readonly advertise: string;
  readonly listen: string;
}

/** Undefined when nothing fits yet: the caller asks again later. */
export function chooseOwnAddress(facts: AddressFacts): OwnAddress | undefined {
  const { advertiseAddr } = facts;
  if (advertiseAddr !== undefined) {
    return { advertise: advertiseAddr, listen: chooseListen(advertiseAddr, facts.localAddresses) };
  }
  const candidates = containerAddresses(facts);
  const known = candidates.find((address) => facts.answers.includes(address));
  const address = known ?? nearest(candidates, facts.answers) ?? facts.routeAddress;
  return address === undefined ? undefined : { advertise: address, listen: address };
}

/** A published port: the advertised address is the host's, and only all of our own addresses can take what it maps. */
function chooseListen(advertise: string, local: readonly string[]): string {
  if (local.includes(advertise) || advertise.startsWith('127.') || advertise === '::1') return advertise;
  return isIP(advertise) === 6 ? '::' : '0.0.0.0';
}

/** In a Swarm only its own networks count: a bridge reaches no other node. */
function containerAddresses(facts: AddressFacts): readonly string[] {
  const networks = (facts.container?.addresses ?? []).filter(
    (network) => isIP(network.address) !== 0 && (!facts.inSwarm || network.scope === 'swarm'),
  );
  const byScopeThenName = [...networks].sort(
    (a, b) =>
      Number(b.scope === 'swarm') - Number(a.scope === 'swarm') ||
      compareText(a.network, b.network) ||
      compareText(a.address, b.address),
  );
  return byScopeThenName.map((network) => network.address);
}

/** The candidate that shares the most leading text with an answer: networks are not told with their masks. */
function nearest(candidates: readonly string[], answers: readonly string[]): string | undefined {
  const score = (candidate: string): number =>
    Math.max(0, ...answers.map((answer) => sharedPrefix(candidate, answer)));
  let best = candidates[0];
  for (const candidate of candidates) {
    if (best !== undefined && score(candidate) > score(best)) best = candidate;
  }
  return best;
}

function sharedPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}
