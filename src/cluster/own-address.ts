// Learns what the choice of the own address needs (advertise.ts), and asks again until there is one.
// Sends nothing: connecting a UDP socket only asks the kernel for its route.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { OwnContainer } from '../docker/docker.ts';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { chooseOwnAddress, explainOwnAddress, type OwnAddress } from './advertise.ts';
import type { Clock } from './clock.ts';
import { waitFor } from './wait.ts';

export interface OwnAddressNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lookup: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
  readonly ownContainer: (signal: AbortSignal) => Promise<OwnContainer | undefined>;
  readonly inSwarm: () => boolean;
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
}

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
  const facts = {
    advertiseAddr: await literal(needs, options.advertiseAddr, signal),
    container,
    inSwarm: needs.inSwarm(),
    answers,
    routeAddress: await routeAddress(towards),
    localAddresses: localAddresses(),
  };
  const address = chooseOwnAddress(facts);
  if (address === undefined) return undefined;
  return { address, reason: explainOwnAddress(facts, address), host, serviceName };
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
async function routeAddress(towards: string | undefined): Promise<string | undefined> {
  const target = towards ?? somewhereElse;
  const socket = createSocket(isIP(target) === 6 ? 'udp6' : 'udp4');
  try {
    socket.connect(discardPort, target);
    await once(socket, 'connect');
    return socket.address().address;
  } catch {
    return localAddresses().find((address) => isIP(address) === 4);
  } finally {
    socket.close();
  }
}
