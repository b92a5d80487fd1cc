// The membership protocol as a whole: SWIM's probes, suspicion and refutation, full-state exchange, and gossip.
// Everything it does follows from a tick, a link, a question, a rumor or new facts; time and network are passed in.

import { AgentError } from '../errors.ts';
import type { MemberRecord } from './cluster.ts';
import { createDialer, type Dialer, type DialTarget } from './dialer.ts';
import { createExchange, type Exchange } from './exchange.ts';
import { createHearsay, type Hearsay } from './hearsay.ts';
import { LocalState, type LocalStateNeeds } from './local-state.ts';
import { type Entry, isLive } from './membership.ts';
import type { Answer, Claim, EntryState, Question, Rumor, StateLine } from './messages.ts';
import type { MemberNetwork, NetworkHandlers } from './network.ts';
import { createProber, type Prober, probeForAnother } from './prober.ts';
import { linkTargets, probedSuccessors, successors } from './ring.ts';
import { createSuspector, type Suspector } from './suspector.ts';
import { type ProbeTiming, tickMs } from './suspicion.ts';
import { smoothRtt } from './watch.ts';

export interface DetectorNeeds extends Omit<LocalStateNeeds, 'announce'> {
  readonly network: MemberNetwork;
  readonly random: () => number;
}

export interface DetectorOptions extends ProbeTiming {
  /** The highest generation already seen for this engine. */
  readonly highestSeen: number;
}

/** A digest this often, so that also members that probe no common neighbour find their differences. */
const digestIntervalMs = 30_000;
/** A suspect that answers is probed again this soon, to hear its refutation. */
const reprobeMs = 100;
/** How long a leave waits for the others to confirm that they heard it. */
const leaveTimeoutMs = 500;

export class Detector implements NetworkHandlers {
  readonly #needs: DetectorNeeds;
  readonly #timing: ProbeTiming;
  readonly #state: LocalState;
  readonly #prober: Prober;
  readonly #dialer: Dialer;
  readonly #suspector: Suspector;
  readonly #hearsay: Hearsay;
  readonly #exchange: Exchange;
  #nextDigestMs: number;
  #cancelTick: (() => void) | undefined;
  #dialTargets: readonly DialTarget[] = [];

  constructor(needs: DetectorNeeds, options: DetectorOptions) {
    const { network, log, clock, random } = needs;
    this.#needs = needs;
    this.#timing = options;
    this.#nextDigestMs = this.#digestDelayMs();
    const announce: LocalStateNeeds['announce'] = (own) => this.#exchange.announce(own);
    const state = new LocalState({ ...needs, announce }, options.highestSeen);
    this.#state = state;
    this.#dialer = createDialer(network, needs.identity.peerId);
    this.#prober = createProber(
      {
        network,
        random,
        monotonicMs: () => clock.monotonicMs(),
        connect: (peerId) => this.#connect(peerId, false),
        claimAgainst: (peerId) => state.suspicionOf(peerId) ?? this.#hearsay.claimAgainst(peerId),
        helpersFor: (peerId) => state.trustedOthers(peerId),
        onAnswer: (peerId, answer, rttMs) => this.#onAnswer(peerId, answer, rttMs),
        onFailure: (peerId) => this.#suspector.onProbeFailure(peerId),
      },
      options,
    );
    this.#suspector = createSuspector(
      {
        state,
        network,
        log,
        probe: (peerId) => this.#prober.probe(peerId, state.nowMs()),
        // Best effort: what it proves arrives as a link.
        connectFresh: (peerId) => void this.#connect(peerId, true).catch(() => undefined),
      },
      options,
    );
    this.#hearsay = createHearsay(
      {
        state,
        probe: (peerId) => this.#prober.probe(peerId, state.nowMs()),
        bury: (claim) => this.#suspector.bury(claim),
      },
      options,
    );
    this.#exchange = createExchange({
      state,
      network,
      log,
      onBelief: (claim, belief) => this.#onBelief(claim, belief),
      flush: () => this.#flush(),
    });
  }

  /** Begins to tick. The network hands links, questions and rumors to this object. */
  start(): void {
    this.#tick();
  }

  stop(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  /** Tells the others goodbye and waits, shortly, until those with a link to us have heard it. */
  async leave(): Promise<void> {
    this.stop();
    const goodbye = this.#state.leave();
    const line: StateLine = { ...goodbye, state: 'left', ageMs: 0 };
    const { network } = this.#needs;
    void network.publish({ kind: 'records', records: [goodbye] });
    const told = network
      .links()
      .map((peerId) => network.ask(peerId, { kind: 'sync', lines: [line] }, leaveTimeoutMs));
    // Best effort: who does not hear it finds out by probing.
    await Promise.allSettled(told);
  }

  self(): MemberRecord {
    return this.#state.self().record;
  }

  joined(): boolean {
    return this.#state.joined();
  }

  entries(): readonly Entry[] {
    return [...this.#state.table.entries()];
  }

  rttMs(peerId: string): number | undefined {
    return this.#state.watches.find(peerId)?.rttMs;
  }

  /** Discovery found that there is nobody else. */
  markAlone(): void {
    this.#state.markJoined();
    this.#flush();
  }

  /** Publishes a new version of our record if what we say of ourselves changed. */
  refresh(): void {
    this.#state.refresh();
    this.#flush();
  }

  /** Takes the engine back from a record whose process turned out to be gone. */
  outlive(generation: number): void {
    this.#state.outlive(generation);
    this.#flush();
  }

  onLinkUp(peerId: string, direction: 'inbound' | 'outbound'): void {
    this.#exchange.onLinkUp(peerId, direction);
  }

  onLinkDown(peerId: string): void {
    this.#exchange.onLinkDown(peerId);
    // A closed connection is news: a killed process closes its sockets, and a refused redial tells the rest.
    if (this.#cancelTick !== undefined && this.#state.isLivePeer(peerId)) {
      this.#prober.probe(peerId, this.#state.nowMs());
    }
  }

  async onQuestion(peerId: string, question: Question): Promise<Answer> {
    switch (question.kind) {
      case 'ping':
        return this.#answerPing(question.suspect);
      case 'ping-req':
        return probeForAnother(this.#needs.network, question.target, this.#timing);
      case 'sync': {
        const lines = this.#exchange.answer(peerId, question.lines);
        this.#flush();
        return { kind: 'sync', lines };
      }
    }
  }

  onRumor(peerId: string, rumor: Rumor): void {
    if (rumor.kind === 'records') {
      for (const record of rumor.records) {
        this.#exchange.onGossiped(record);
        this.#state.accept({ ...record, state: 'alive', ageMs: 0 });
      }
    } else if (this.#state.isLivePeer(peerId)) {
      // What is said about others counts only from members.
      if (rumor.kind === 'suspect') this.#suspector.accuse(rumor.claim, peerId);
      if (rumor.kind === 'dead') this.#hearsay.onDeathClaim(rumor.claim);
      if (rumor.kind === 'digest') this.#exchange.compare(peerId, rumor.hash);
    }
    this.#flush();
  }

  #tick(): void {
    this.#cancelTick = this.#needs.clock.after(tickMs, () => this.#tick());
    const state = this.#state;
    state.advance();
    this.#startProbes();
    this.#prober.tick(state.nowMs());
    this.#hearsay.tick();
    this.#suspector.tick();
    this.#exchange.tick();
    this.#dialer.tick(this.#dialTargets, state.nowMs());
    if (state.nowMs() >= this.#nextDigestMs) {
      this.#nextDigestMs = state.nowMs() + this.#digestDelayMs();
      void this.#needs.network.publish({ kind: 'digest', hash: state.table.hash() });
      state.expire();
    }
    this.#flush();
  }

  #digestDelayMs(): number {
    return digestIntervalMs * (0.75 + this.#needs.random() / 2);
  }

  #startProbes(): void {
    const nowMs = this.#state.nowMs();
    for (const [peerId, watch] of this.#state.watches.entries()) {
      if (watch.nextProbeMs === undefined || nowMs < watch.nextProbeMs) continue;
      // Counted from now and not from the plan: after a hold-up the missed probes are not made up for.
      watch.nextProbeMs = nowMs + this.#timing.probeIntervalMs * (0.95 + this.#needs.random() / 10);
      this.#prober.probe(peerId, nowMs);
    }
  }

  #onAnswer(peerId: string, answer: Answer, rttMs: number): void {
    const watch = this.#state.watches.find(peerId);
    if (watch === undefined || answer.kind !== 'ack') return;
    const nowMs = this.#state.nowMs();
    watch.heardMs = nowMs;
    watch.rttMs = smoothRtt(watch.rttMs, rttMs);
    if (answer.record !== undefined) this.#state.accept({ ...answer.record, state: 'alive', ageMs: 0 });
    if (this.#state.suspicionOf(peerId) !== undefined) watch.nextProbeMs = nowMs + reprobeMs;
    this.#exchange.compare(peerId, answer.hash);
    this.#flush();
  }

  #answerPing(suspect: Claim | undefined): Answer {
    const { table } = this.#state;
    if (suspect === undefined) return { kind: 'ack', hash: table.hash(), record: undefined };
    if (suspect.peerId === this.#state.peerId) this.#state.refute(suspect);
    this.#flush();
    const { text, signature } = this.#state.self();
    return { kind: 'ack', hash: table.hash(), record: { text, signature } };
  }

  /** What another member believes of a third one, told with the full state. A death is a claim, a doubt is a hint. */
  #onBelief(claim: Claim, belief: EntryState): void {
    if (belief === 'dead') this.#hearsay.onDeathClaim(claim);
    if (belief === 'suspect' && this.#state.isLivePeer(claim.peerId)) {
      this.#prober.probe(claim.peerId, this.#state.nowMs());
    }
  }

  #connect(peerId: string, fresh: boolean): Promise<void> {
    const entry = this.#state.table.byPeer(peerId);
    if (entry === undefined)
      return Promise.reject(new AgentError('member-unknown', `dial ${peerId}: no longer known`));
    return this.#dialer.connect(toDialTarget(entry), fresh);
  }

  /** After changes: plan again who is probed and dialled, and tell the owner. */
  #flush(): void {
    if (!this.#state.takeChanged()) return;
    this.#planProbes();
    this.#dialTargets = this.#planDials();
    this.#needs.onChange();
  }

  #planProbes(): void {
    const { table, watches, peerId: self } = this.#state;
    const probed = new Set(successors(self, table.live(), probedSuccessors));
    const intervalMs = this.#timing.probeIntervalMs;
    for (const entry of table.entries()) {
      const { peerId } = entry.signed.record;
      const watch = watches.of(peerId);
      // First probes are spread over the interval, so that several members do not probe at once.
      if (probed.has(peerId)) watch.nextProbeMs ??= this.#state.nowMs() + intervalMs * this.#needs.random();
      else if (entry.state !== 'suspect') watch.nextProbeMs = undefined;
      if (entry.state !== 'suspect') watch.suspicion = undefined;
      if (!isLive(entry)) this.#prober.forget(peerId);
    }
    for (const [peerId] of [...watches.entries()]) {
      if (table.byPeer(peerId) === undefined) watches.delete(peerId);
    }
  }

  /** The dead take part in the ring, so that somebody dials them also in a large cluster. */
  #planDials(): readonly DialTarget[] {
    const { table, peerId: self } = this.#state;
    const wanted = [...table.entries()].filter((entry) => entry.state !== 'left');
    const peerIds = wanted.map((entry) => entry.signed.record.peerId);
    return linkTargets(self, peerIds).flatMap((peerId) => {
      const entry = table.byPeer(peerId);
      // A dead member's address may be ours now.
      return entry === undefined || isSameEndpoint(entry.signed.record, this.self())
        ? []
        : [toDialTarget(entry)];
    });
  }
}

function isSameEndpoint(a: MemberRecord, b: MemberRecord): boolean {
  return a.address === b.address && a.gossipPort === b.gossipPort;
}

function toDialTarget(entry: Entry): DialTarget {
  const { peerId, address, gossipPort } = entry.signed.record;
  return { peerId, endpoint: { address, port: gossipPort }, dead: entry.state === 'dead' };
}
