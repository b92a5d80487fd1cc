// Another process of this engine: whether it lives. An agent steps down only for one that does, and joins again when it
// is gone. Whoever answers must prove the key that signed the record; a port that is open proves nothing.

import { AgentError, reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { MemberRecord } from './cluster.ts';
import { isListening } from './knock.ts';
import { type Endpoint, isRefusal, type MemberNetwork, type NetworkHandlers } from './network.ts';
import { waitFor } from './wait.ts';

export interface RivalNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly ownPeerId: string;
}

const knockTimeoutMs = 1_000;
const dialTimeoutMs = 1_000;
/** A busy machine may take longer for a handshake than a dial may. */
const dialAttempts = 2;
/** How often an agent that stepped down looks whether the newer one is still there. */
const rivalCheckMs = 3_000;
/** Misses in a row before it takes its place again. */
const maxRivalMisses = 2;

/** Waits until the newer process is gone, or for ever. The network listens nowhere: it only dials. */
export async function outwait(
  needs: RivalNeeds,
  network: MemberNetwork,
  rival: MemberRecord,
  signal: AbortSignal,
): Promise<void> {
  const { address, generation } = rival;
  needs.log.warn('a newer agent of this engine took over; stepping down', { address, generation });
  try {
    await network.start(undefined, deaf);
    let misses = 0;
    while (!signal.aborted && misses < maxRivalMisses) {
      await waitFor(needs.clock, rivalCheckMs, signal);
      if (signal.aborted) return;
      misses = (await lives(network, rival, needs.ownPeerId)) ? 0 : misses + 1;
      network.drop(rival.peerId);
    }
  } finally {
    await network.stop();
  }
  if (!signal.aborted) needs.log.info('the newer agent of this engine is gone; joining again', { address });
}

/**
 * A record with a newer start than ours may be what a dead process left behind (its clock was ahead). Only one whose
 * process answers, elsewhere than here, makes us step down. What a check finds after the abort is dropped.
 */
export function createRivalCheck(
  needs: RivalNeeds & {
    readonly network: MemberNetwork;
    readonly isOwn: (endpoint: Endpoint) => boolean;
    readonly outlive: (record: MemberRecord) => void;
    readonly stepDown: (record: MemberRecord) => void;
  },
  signal: AbortSignal,
): (record: MemberRecord) => void {
  let checking = false;
  const check = async (record: MemberRecord): Promise<void> => {
    const alive = !needs.isOwn(endpointOf(record)) && (await lives(needs.network, record, needs.ownPeerId));
    if (signal.aborted) return;
    if (alive) needs.stepDown(record);
    else needs.outlive(record);
  };
  return (record) => {
    if (checking) return;
    checking = true;
    check(record)
      .catch((error: unknown) => needs.log.error('rival not checked', { reason: reasonOf(error) }))
      .finally(() => {
        checking = false;
      });
  };
}

/** libp2p dials nobody with its own key: the same identity elsewhere can only be knocked at. */
async function lives(network: MemberNetwork, record: MemberRecord, ownPeerId: string): Promise<boolean> {
  const endpoint = endpointOf(record);
  const { peerId } = record;
  if (peerId === ownPeerId) return isListening(endpoint, knockTimeoutMs);
  for (let dials = 0; dials < dialAttempts; dials++) {
    try {
      // Fresh: a link that its owner opened to us says nothing of who listens there.
      return (await network.dial(endpoint, { peerId, timeoutMs: dialTimeoutMs, fresh: true })) === peerId;
    } catch (error) {
      if (isRefusal(error)) return false;
    }
  }
  return false;
}

function endpointOf({ address, gossipPort }: MemberRecord): Endpoint {
  return { address, port: gossipPort };
}

/** For a network that takes no part. */
const deaf: NetworkHandlers = {
  onLinkUp: () => undefined,
  onLinkDown: () => undefined,
  onQuestion: () => Promise.reject(new AgentError('unavailable', 'this agent stepped down')),
  onRumor: () => undefined,
};
