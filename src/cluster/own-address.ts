// Learns what the choice of the own address needs (advertise.ts), and asks again until there is one.
// Sends nothing: connecting a UDP socket only asks the kernel for its route.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { OwnContainer } from '../docker/docker.ts';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type AddressFacts, chooseOwnAddress, explainOwnAddress, type OwnAddress } from './advertise.ts';
import type { Clock } from './clock.ts';
import { waitFor } from './wait.ts';

export interface OwnAddressNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lookup: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly ownContainer: (signal: AbortSignal) => Promise<OwnContainer | undefined>;
  readonly inSwarm: () => boolean;
  /** All addresses of this host or container that others can reach. */
  readonly localAddresses: () => readonly string[];
}

export interface OwnAddressOptions {
  readonly advertiseAddr: string | undefined;
  readonly addr: string | undefined;
  readonly seeds: readonly { readonly host: string }[];
}

export interface OwnPlace {
  readonly address: OwnAddress;
  /** Why that one. */
  readonly reason: string;
  /** Name that resolves to all agents, if there is one. */
  readonly host: string | undefined;
  readonly serviceName: string | undefined;
  /** Where the address is from; a guess is the first one of this host, for want of a route. */
  readonly origin: 'set' | 'container' | 'route' | 'guess';
}

interface Route {
  readonly address: string;
  readonly origin: 'route' | 'guess';
}

/** Looks at the addresses of this host, one after the other, that miss ours before it is given up. */
const lostLooks = 2;
const retryMs = 1_000;
/** TEST-NET-1 (RFC 5737): an address that only the default route leads to. */
const somewhereElse = '192.0.2.1';
const discardPort = 9;

/** Undefined only after an abort. */
export async function findOwnPlace(
  needs: OwnAddressNeeds,
  options: OwnAddressOptions,
  signal: AbortSignal,
): Promise<OwnPlace | undefined> {
  let logged = false;
  while (!signal.aborted) {
    try {
      const place = await tryOwnPlace(needs, options, signal);
      if (place !== undefined) return place;
      if (!logged) needs.log.warn('no address to advertise yet; FLOTILLA_ADVERTISE_ADDR sets one');
    } catch (error) {
      if (!logged && !signal.aborted) needs.log.warn('own address unknown yet', { reason: reasonOf(error) });
    }
    logged = true;
    await waitFor(needs.clock, retryMs, signal);
  }
  return undefined;
}

/**
 * Call the result now and then: when this host has lost the address of the place, or the place was a guess, it looks for
 * another, and tells it once. Until there is one that is sure, the old one stays: it may come back.
 */
export function createPlaceCheck(
  needs: OwnAddressNeeds,
  options: OwnAddressOptions,
  place: OwnPlace,
  onMoved: (place: OwnPlace) => void,
  signal: AbortSignal,
): () => void {
  const { listen } = place.address;
  // A wildcard, and an address that is mapped to ours, are on no list and cannot be lost.
  const wasOurs = needs.localAddresses().includes(listen);
  let misses = 0;
  let looking = false;
  const look = async (): Promise<void> => {
    const found = await tryOwnPlace(needs, options, signal);
    if (found === undefined || signal.aborted || !isSurer(found, place)) return;
    if (found.address.listen !== listen && needs.localAddresses().includes(found.address.listen))
      onMoved(found);
  };
  return () => {
    const isLost = wasOurs && !needs.localAddresses().includes(listen);
    misses = isLost || place.origin === 'guess' ? misses + 1 : 0;
    if (misses < lostLooks || looking) return;
    looking = true;
    look()
      // Best effort: it is called again.
      .catch((error: unknown) => needs.log.debug('no other address', { reason: reasonOf(error) }))
      .finally(() => {
        looking = false;
      });
  };
}

/** A container that is taken from its network has a route by its bridge; nobody would find it there. */
function isSurer(found: OwnPlace, place: OwnPlace): boolean {
  return found.origin !== 'guess' && (found.origin === place.origin || place.origin === 'guess');
}

/** All addresses of this host or container that others can reach. */
export function localAddresses(): readonly string[] {
  const entries = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return entries.filter((entry) => !entry.internal).map((entry) => entry.address);
}

async function tryOwnPlace(
  needs: OwnAddressNeeds,
  options: OwnAddressOptions,
  signal: AbortSignal,
): Promise<OwnPlace | undefined> {
  const container = await needs.ownContainer(signal);
  const serviceName = container?.serviceName;
  const host = options.addr ?? (serviceName === undefined ? undefined : `tasks.${serviceName}`);
  const answers = host === undefined ? [] : await resolve(needs, host, signal);
  const seed = options.seeds[0]?.host;
  const towards = answers[0] ?? (seed === undefined ? undefined : (await resolve(needs, seed, signal))[0]);
  const route = await findRoute(towards, needs.localAddresses());
  const facts = {
    advertiseAddr: await literal(needs, options.advertiseAddr, signal),
    container,
    inSwarm: needs.inSwarm(),
    answers,
    routeAddress: route?.address,
    localAddresses: needs.localAddresses(),
  };
  const address = chooseOwnAddress(facts);
  if (address === undefined) return undefined;
  const origin = originOf(facts, address, route);
  return { address, reason: explainOwnAddress(facts, address), host, serviceName, origin };
}

function originOf(
  { advertiseAddr, container }: Pick<AddressFacts, 'advertiseAddr' | 'container'>,
  { advertise }: OwnAddress,
  route: Route | undefined,
): OwnPlace['origin'] {
  if (advertiseAddr !== undefined) return 'set';
  const isContainers = container?.addresses.some(({ address }) => address === advertise) === true;
  return isContainers ? 'container' : (route?.origin ?? 'guess');
}

/** A DNS that is dead now is no reason to wait: the choice is made without its answers. */
async function resolve(
  needs: OwnAddressNeeds,
  host: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    return await needs.lookup(host, signal);
  } catch {
    return [];
  }
}

async function literal(
  needs: OwnAddressNeeds,
  advertiseAddr: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (advertiseAddr === undefined || isIP(advertiseAddr) !== 0) return advertiseAddr;
  return (await needs.lookup(advertiseAddr, signal))[0];
}

/** The address the kernel sends from towards a host; the first outward one where there is no route. */
async function findRoute(towards: string | undefined, local: readonly string[]): Promise<Route | undefined> {
  const target = towards ?? somewhereElse;
  const socket = createSocket(isIP(target) === 6 ? 'udp6' : 'udp4');
  try {
    socket.connect(discardPort, target);
    await once(socket, 'connect');
    return { address: socket.address().address, origin: 'route' };
  } catch {
    const address = local.find((candidate) => isIP(candidate) === 4);
    return address === undefined ? undefined : { address, origin: 'guess' };
  } finally {
    socket.close();
  }
}
