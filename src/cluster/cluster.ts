// Who the members are and who is gone: the public types of the cluster module and its factory.
// The view is an immutable snapshot, replaced as a whole at each change; a request reads it once and keeps it.

import type { EngineFacts, OwnContainer, SwarmRole } from '../docker/docker.ts';
import { AgentError, reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { Detector } from './detector.ts';
import { createLibp2pNetwork } from './libp2p-network.ts';
import { createLookup, type Lookup } from './lookup.ts';
import { nextGeneration } from './membership.ts';
import { localAddresses } from './own-address.ts';
import { createIdentity, type Identity } from './record.ts';
import type { SelfDescription } from './self-record.ts';
import { runSession, type SessionPhase } from './session.ts';
import { isSameView, summarize, toLoneView, toView } from './view.ts';

/** What a member says of itself. Signed by its identity before it travels. */
export interface MemberRecord {
  /** libp2p peer id: the hash of the public key that signs this record. */
  readonly peerId: string;
  readonly nodeName: string;
  /** Swarm node id; the engine id where there is no Swarm. */
  readonly nodeId: string;
  readonly engineId: string;
  /** Undefined outside a Swarm. */
  readonly role: SwarmRole | undefined;
  readonly leader: boolean;
  readonly engineVersion: string;
  readonly apiVersion: string;
  readonly minApiVersion: string;
  readonly agentVersion: string;
  /** Literal IPv4 or IPv6 address that other agents reach it at. */
  readonly address: string;
  readonly apiPort: number;
  readonly peerPort: number;
  readonly gossipPort: number;
  /** SHA-256 of the DER certificate on its peer listener, lower-case hex, no colons. */
  readonly tlsFingerprint: string;
  /** Grows with each start of an agent on this engine; the newest generation owns the engine id. */
  readonly generation: number;
  /** Grows when the member refutes a suspicion or changes its record. */
  readonly incarnation: number;
  readonly edgeKeySet: boolean;
}

export interface Member {
  readonly record: MemberRecord;
  readonly self: boolean;
  /** A suspect is still used; it has until the suspicion timeout to refute. */
  readonly state: 'alive' | 'suspect';
  /** Smoothed round trip of probes; undefined for self and for members that others probe. */
  readonly rttMs?: number | undefined;
}

/** A member that was here and is not: named in answers until it returns, leaves or is forgotten. */
export interface MissingMember {
  readonly nodeName: string;
  readonly engineId: string;
  readonly reason: 'dead';
  /** Wall clock of the moment it was declared dead, milliseconds. */
  readonly sinceMs: number;
  /** The last that it said of itself. */
  readonly record?: MemberRecord;
}

export interface ClusterView {
  /** `joining` until one other member proved membership, or discovery found that there is none. */
  readonly state: 'joining' | 'joined';
  readonly self: Member;
  /** Alive and suspect members, self included, ordered by node name then engine id. */
  readonly members: readonly Member[];
  readonly missing: readonly MissingMember[];
}

/** What came of opening a TCP connection. */
export type Knock =
  | { readonly kind: 'open' }
  /** The host answered that nothing listens, or a firewall did in its place. */
  | { readonly kind: 'refused' }
  /** Nobody answered: a firewall that drops, no such host, or a route that ends. */
  | { readonly kind: 'silent'; readonly afterMs: number }
  /** This host or a router knows no way. */
  | { readonly kind: 'unreachable'; readonly reason: string };

/** How far this agent has come on its way into a cluster. */
export type ClusterProgress =
  /** Not told to cluster: no Swarm, no seeds, no name. */
  | { readonly kind: 'alone' }
  | { readonly kind: 'finding-address' }
  /** Tried again each second. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'stepped-down'; readonly address: string }
  /** `reason`: why this address, in words. */
  | {
      readonly kind: 'running';
      readonly advertise: string;
      readonly listen: string;
      readonly reason: string;
    };

/** Why the cluster is as it is, measured now (see diagnosis.ts). */
export interface ClusterDiagnosis {
  readonly state: ClusterProgress;
  readonly sources: readonly SourceDiagnosis[];
  readonly addresses: readonly AddressDiagnosis[];
}

export interface SourceDiagnosis {
  /** `dns <name>`, `tasks` or `seed <host>`. */
  readonly source: string;
  readonly addresses: readonly string[];
  /** How many of them are this agent itself. */
  readonly own: number;
  /** How many of them are live members. */
  readonly proved: number;
  readonly fault: string | undefined;
}

export interface AddressDiagnosis {
  readonly address: string;
  readonly gossipPort: number;
  readonly peerPort: number;
  /** The sources that name it; none: only a member's record does. */
  readonly sources: readonly string[];
  readonly nodeName: string | undefined;
  readonly member: 'live' | 'missing' | 'unknown';
  readonly gossip: Knock;
  readonly peer: Knock;
  /** With those that are no live members and listen: whether the other side proved that it knows our secret. */
  readonly handshake: 'done' | 'refused' | 'failed' | undefined;
}

export interface Cluster {
  readonly name: 'cluster';
  /** Throws `unavailable` before the start. */
  view(): ClusterView;
  /** Calls back after each change with the new view and the one before, in order. Returns the call that ends it. */
  onChange(listener: (view: ClusterView, before: ClusterView) => void): () => void;
  /** Tells the others what changed here without the engine saying so: the Edge key. */
  refresh(): void;
  /** Looks for the other agents anew and tells how far it got; takes seconds where addresses are silent. */
  diagnose(signal: AbortSignal): Promise<ClusterDiagnosis>;
  /** Returns at once; the cluster is joined in the background, for ever if need be. */
  start(signal: AbortSignal): Promise<void>;
  /** Announces the leave, then closes every connection. */
  stop(signal: AbortSignal): Promise<void>;
}

export interface ClusterNeeds {
  readonly facts: () => EngineFacts;
  readonly onFactsChange: (listener: (facts: EngineFacts) => void) => () => void;
  readonly ownContainer: (signal: AbortSignal) => Promise<OwnContainer | undefined>;
  readonly taskAddresses: (serviceName: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** SHA-256 of the DER certificate on our peer listener, lower-case hex. */
  readonly tlsFingerprint: string;
  /** The 32-byte seed of the agent's Ed25519 identity. */
  readonly identitySeed: Uint8Array;
  readonly edgeKeySet: () => boolean;
  /**
   * Called before our record names an address, with the one that others will use and the one to listen on (they differ
   * behind a published port only). Resolves with the port of the peer listener there.
   */
  readonly onAdvertise: (address: string, listen: string) => Promise<number>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Resolves a name to literal addresses. Without it: DNS, then the system's resolver. */
  readonly lookup?: Lookup;
  /** Addresses of this host or container that others can reach. Without it: those of its interfaces. */
  readonly localAddresses?: () => readonly string[];
}

/** `ClusterConfig` of the config module, and the version of this agent. */
export interface ClusterOptions {
  readonly secret: string | undefined;
  readonly addr: string | undefined;
  readonly seeds: readonly { readonly host: string; readonly port: number }[];
  readonly advertiseAddr: string | undefined;
  readonly apiPort: number;
  readonly gossipPort: number;
  readonly peerPort: number;
  readonly probeTimeoutMs: number;
  readonly probeIntervalMs: number;
  readonly agentVersion: string;
}

type Listener = (view: ClusterView, before: ClusterView) => void;

/** A view built within this time has round trips that are new enough. */
const rttFreshMs = 2_000;
/** Shown as the address of an agent that has no other members to be reached by. */
const loneAddress = '127.0.0.1';

/**
 * Outside a Swarm and without seeds there is no clustering: the view has one member, and nothing listens. That is
 * decided again whenever the engine's facts change.
 */
export function createCluster(needs: ClusterNeeds, options: ClusterOptions): Cluster {
  return new ClusterMember(needs, options);
}

class ClusterMember implements Cluster {
  readonly name = 'cluster';
  readonly #needs: ClusterNeeds;
  readonly #options: ClusterOptions;
  readonly #listeners = new Set<Listener>();
  readonly #identity: Identity;
  #view: ClusterView | undefined;
  #viewBuiltMs = 0;
  #detector: Detector | undefined;
  /** Ends the session in progress. */
  #session: AbortController | undefined;
  /** The end of the youngest session, which begins when the one before it has ended. Never rejects. */
  #ended: Promise<void> = Promise.resolve();
  #phase: SessionPhase | undefined;
  #endFacts: (() => void) | undefined;
  #loneGeneration = 0;

  constructor(needs: ClusterNeeds, options: ClusterOptions) {
    this.#needs = needs;
    this.#options = options;
    this.#identity = createIdentity(needs.identitySeed);
  }

  view(): ClusterView {
    const view = this.#view;
    if (view === undefined)
      throw new AgentError('unavailable', 'read the member list: cluster is not started');
    const isOld = this.#needs.clock.monotonicMs() - this.#viewBuiltMs > rttFreshMs;
    return isOld ? this.#rebuild() : view;
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  refresh(): void {
    this.#detector?.refresh();
    if (this.#view !== undefined) this.#update();
  }

  async diagnose(signal: AbortSignal): Promise<ClusterDiagnosis> {
    const phase = this.#session === undefined ? undefined : this.#phase;
    const nothing = { sources: [], addresses: [] };
    if (phase === undefined) return { state: { kind: 'alone' }, ...nothing };
    if (phase.kind !== 'running') return { state: phase, ...nothing };
    const { advertise, listen, reason } = phase;
    return { state: { kind: 'running', advertise, listen, reason }, ...(await phase.diagnose(signal)) };
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#endFacts !== undefined) return;
    signal.throwIfAborted();
    this.#loneGeneration = nextGeneration(this.#needs.clock.wallMs(), 0);
    this.#rebuild();
    this.#endFacts = this.#needs.onFactsChange(() => this.#onFacts());
    this.#onFacts();
  }

  async stop(_signal: AbortSignal): Promise<void> {
    this.#endFacts?.();
    this.#endFacts = undefined;
    await this.#endSession();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(AbortSignal.abort());
  }

  #isClustered(): boolean {
    const { addr, seeds } = this.#options;
    return this.#needs.facts().swarm !== undefined || addr !== undefined || seeds.length > 0;
  }

  #onFacts(): void {
    if (this.#isClustered()) {
      this.#session ??= this.#beginSession();
      this.#detector?.refresh();
    } else {
      // Left the Swarm: say goodbye, and be alone.
      void this.#endSession();
    }
    this.#update();
  }

  #beginSession(): AbortController {
    const abort = new AbortController();
    const { secret } = this.#options;
    const identity = this.#identity;
    const { log } = this.#needs;
    const needs = {
      ...this.#needs,
      identity,
      lookup: this.#needs.lookup ?? createLookup(),
      localAddresses: this.#needs.localAddresses ?? localAddresses,
      describe: (address: string, peerPort: number) => this.#describe(address, peerPort),
      createNetwork: () => createLibp2pNetwork({ seed: identity.seed, secret }, log),
      onChange: (detector: Detector | undefined) => {
        this.#detector = detector;
        this.#update();
      },
      onPhase: (phase: SessionPhase) => {
        if (this.#session === abort) this.#phase = phase;
      },
    };
    this.#phase = { kind: 'finding-address' };
    this.#ended = this.#ended
      .then(() => runSession(needs, this.#options, abort.signal))
      .catch((error: unknown) => log.error('cluster session ended', { reason: reasonOf(error) }));
    return abort;
  }

  async #endSession(): Promise<void> {
    this.#session?.abort();
    this.#session = undefined;
    await this.#ended;
  }

  #describe(address: string, peerPort: number): SelfDescription {
    const facts = this.#needs.facts();
    const { engineId, nodeName, engineVersion, apiVersion, minApiVersion, swarm } = facts;
    const { apiPort, gossipPort, agentVersion } = this.#options;
    return {
      nodeName,
      nodeId: swarm?.nodeId ?? engineId,
      engineId,
      role: swarm?.role,
      leader: swarm?.leader ?? false,
      engineVersion,
      apiVersion,
      minApiVersion,
      agentVersion,
      address,
      apiPort,
      peerPort,
      gossipPort,
      tlsFingerprint: this.#needs.tlsFingerprint,
      edgeKeySet: this.#needs.edgeKeySet(),
    };
  }

  #rebuild(): ClusterView {
    const detector = this.#detector;
    const view = detector === undefined ? this.#aloneView() : viewOf(detector);
    this.#view = view;
    this.#viewBuiltMs = this.#needs.clock.monotonicMs();
    return view;
  }

  #aloneView(): ClusterView {
    const { peerId } = this.#identity;
    const address = this.#options.advertiseAddr ?? loneAddress;
    const versions = { peerId, generation: this.#loneGeneration, incarnation: 0 };
    return toLoneView(
      { ...this.#describe(address, this.#options.peerPort), ...versions },
      this.#session === undefined ? 'joined' : 'joining',
    );
  }

  #update(): void {
    const before = this.#view;
    const view = this.#rebuild();
    if (before === undefined || isSameView(view, before)) return;
    const said = summarize(view);
    if (said !== summarize(before)) this.#needs.log.info('cluster changed', { summary: said });
    for (const listener of [...this.#listeners]) listener(view, before);
  }
}

function viewOf(detector: Detector): ClusterView {
  return toView({
    self: detector.self(),
    joined: detector.joined(),
    entries: detector.entries(),
    rttMs: (peerId) => detector.rttMs(peerId),
  });
}
