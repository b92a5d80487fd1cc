// Keeps links: to live members that should have one, and, for ever, to dead ones that may be back.
// At most one dial per peer is in the air, each with a timeout; a failure is never final.

import { AgentError } from '../errors.ts';
import type { Endpoint, MemberNetwork } from './network.ts';

export interface DialTarget {
  readonly peerId: string;
  readonly endpoint: Endpoint;
  readonly dead: boolean;
}

export interface Dialer {
  /** Dials, or joins the dial in progress. */
  connect(target: DialTarget, fresh: boolean): Promise<void>;
  /** Dials each target that has no link and whose time has come. */
  tick(targets: readonly DialTarget[], nowMs: number): void;
}

/** Back within 2 s after a cut means: a dial at least every second, none of which waits longer than that. */
export const redialIntervalMs = 1_000;
export const dialTimeoutMs = 1_000;
/** Of two members without a link the one with the smaller peer id dials first, so that there is one link, not two. */
const yieldMs = 400;

export function createDialer(network: MemberNetwork, selfPeerId: string): Dialer {
  const inFlight = new Map<string, Promise<void>>();
  const nextDialMs = new Map<string, number>();

  const connect = (target: DialTarget, fresh: boolean): Promise<void> => {
    const { peerId } = target;
    const running = inFlight.get(peerId);
    if (running !== undefined) return running;
    const dial = network
      .dial(target.endpoint, { peerId, timeoutMs: dialTimeoutMs, fresh })
      .then((answered) => {
        if (answered !== peerId)
          throw new AgentError('member-untrusted', `dial ${peerId}: ${answered} answered`);
      })
      .finally(() => inFlight.delete(peerId));
    inFlight.set(peerId, dial);
    return dial;
  };
  const isDue = (target: DialTarget, nowMs: number): boolean => {
    const first = target.dead || selfPeerId < target.peerId ? nowMs : nowMs + yieldMs;
    const dueMs = nextDialMs.get(target.peerId) ?? first;
    nextDialMs.set(target.peerId, dueMs);
    return nowMs >= dueMs && !inFlight.has(target.peerId);
  };
  const tick = (targets: readonly DialTarget[], nowMs: number): void => {
    const unlinked = targets.filter((target) => !network.isLinked(target.peerId));
    for (const target of unlinked.filter((other) => isDue(other, nowMs))) {
      nextDialMs.set(target.peerId, nowMs + redialIntervalMs);
      // Best effort: the next dial is a second away.
      connect(target, false).catch(() => undefined);
    }
    const wanted = new Set(unlinked.map((target) => target.peerId));
    for (const peerId of nextDialMs.keys()) if (!wanted.has(peerId)) nextDialMs.delete(peerId);
  };
  return { connect, tick };
}
