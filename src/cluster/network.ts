// The seam between the failure detector and the world: links to peers, questions over a link, rumors to all.
// libp2p-network.ts is the real one; simulated-network.ts is a whole cluster in memory with a clock moved by hand.

import type { Answer, Question, Rumor } from './messages.ts';

export interface Endpoint {
  /** Literal IPv4 or IPv6 address. */
  readonly address: string;
  readonly port: number;
}

export interface DialOptions {
  /** Fails unless this peer answers. */
  readonly peerId: string | undefined;
  readonly timeoutMs: number;
  /** Opens a new connection even if there is one, to learn whether the path still works. */
  readonly fresh: boolean;
}

/** A link is at least one open connection to a peer that proved its key. */
export interface MemberNetwork {
  /** Without an address it listens nowhere, and dials only. */
  start(listen: Endpoint | undefined, handlers: NetworkHandlers): Promise<void>;
  stop(): Promise<void>;
  /** Resolves with the peer id that answered. Rejects with `member-refused` in its code chain: see `isRefusal`. */
  dial(endpoint: Endpoint, options: DialOptions): Promise<string>;
  isLinked(peerId: string): boolean;
  /** Whether any link leads to this address: discovery need not dial it. */
  isLinkedTo(endpoint: Endpoint): boolean;
  links(): readonly string[];
  ask(peerId: string, question: Question, timeoutMs: number): Promise<Answer>;
  /**
   * Best effort; a lost rumor is repaired by the next comparisons of hashes. Resolves with the peers that it was sent to:
   * on a young link the other side has not yet said that it listens. Never rejects.
   */
  publish(rumor: Rumor): Promise<readonly string[]>;
  /** Destroys every connection to the peer at once, without waiting for anything to be sent. */
  drop(peerId: string): void;
}

export interface NetworkHandlers {
  onLinkUp(peerId: string, direction: 'inbound' | 'outbound'): void;
  onLinkDown(peerId: string): void;
  onQuestion(peerId: string, question: Question): Promise<Answer>;
  onRumor(peerId: string, rumor: Rumor): void;
}

/** Whether a dial failed because nothing listens there: the host lives, the agent does not. */
export function isRefusal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  if ('code' in error && error.code === 'ECONNREFUSED') return true;
  if (error instanceof AggregateError && error.errors.some(isRefusal)) return true;
  return 'cause' in error && isRefusal(error.cause);
}
