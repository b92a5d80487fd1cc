// libp2p's peer store keeps every peer that was ever met or dialled, for ever. Nothing here reads it: the member table
// says who is where. So those without a link are taken out now and then.

import type { PeerStore } from '@libp2p/interface';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';

/** Closed links and failed dials between two sweeps: each may leave one peer, of some KiB at most, in libp2p's store. */
export const maxPeersLeftBehind = 256;

/**
 * Returns what to call after a link closed or a dial failed. Not each one is followed up: libp2p tells its services of
 * a disconnect by what it finds in the store, and writes there what it was still learning.
 */
export function createPeerSweep(
  store: PeerStore,
  isLinked: (peerId: string) => boolean,
  log: Logger,
): () => void {
  let leftBehind = 0;
  const sweep = async (): Promise<void> => {
    for (const { id } of await store.all()) if (!isLinked(id.toString())) await store.delete(id);
  };
  return () => {
    leftBehind += 1;
    if (leftBehind < maxPeersLeftBehind) return;
    leftBehind = 0;
    // Best effort: the next sweep finds what stays.
    sweep().catch((error: unknown) => log.debug('peers not forgotten', { reason: reasonOf(error) }));
  };
}
