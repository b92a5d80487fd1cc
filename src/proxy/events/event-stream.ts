// One client's stream: its subscriptions to all nodes, the members that come and go meanwhile, and its end. Everything it
// opened is closed when it has ended, for whatever reason.

import type { ServerResponse } from 'node:http';
import type { ClusterView, Member } from '../../cluster/cluster.ts';
import type { Logger } from '../../log.ts';
import type { Breakers } from '../breakers.ts';
import { isAlone } from '../endpoint/alone.ts';
import type { EndpointCall } from '../endpoint/call.ts';
import { questionOf } from '../endpoint/question.ts';
import { type FanOutOptions, fanOut, type NodeOutcome } from '../fan-out.ts';
import { type MissingNode, missingHeaders } from '../missing-header.ts';
import type { FetchedPart, FetchLimits, OpenAnswer, OpenLimits, ProxyRequest } from '../proxy.ts';
import type { StartTimer } from '../timer.ts';
import { Backlog } from './backlog.ts';
import { type ClientWriter, createClientWriter } from './client-writer.ts';
import { type EngineEvent, withNode } from './event.ts';
import type { EventForm } from './form.ts';
import { type Beginning, Position } from './position.ts';
import { type EventsQuery, toEngineQuery } from './query.ts';
import { SeenEvents } from './seen.ts';
import type { Selection } from './selection.ts';
import { Subscription } from './subscription.ts';

/** Nodes followed by one stream, those that left included; of more, nothing comes. As many as a cluster may have. */
export const maxSubscriptions = 1_024;
/** An engine's history comes in one go; so long after the last of it there is no more. */
const quietMs = 100;

export interface EventStreamNeeds {
  readonly engine: (request: ProxyRequest, limits: OpenLimits) => Promise<OpenAnswer>;
  readonly member: (member: Member, request: ProxyRequest, limits: OpenLimits) => Promise<OpenAnswer>;
  readonly breakers: Breakers;
  readonly view: () => ClusterView;
  readonly onViewChange: (listener: (view: ClusterView) => void) => () => void;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  readonly startTimer: StartTimer;
  readonly random: () => number;
  readonly log: Logger;
}

export interface EventStreamOptions {
  /** To the head of an engine's answer, and to the end of its history, milliseconds. */
  readonly memberTimeoutMs: number;
  /** Without a cluster secret nobody but the local engine is asked for a client that signed nothing. */
  readonly members: FanOutOptions['members'];
}

export interface EventStreamQuestion {
  readonly call: EndpointCall;
  readonly query: EventsQuery;
  readonly selection: Selection;
}

export class EventStream {
  readonly #needs: EventStreamNeeds;
  readonly #options: EventStreamOptions;
  readonly #question: EventStreamQuestion;
  readonly #startedMs: number;
  readonly #untilMs: number | undefined;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #ofSwarm = new SeenEvents();
  readonly #backlog: Backlog<Subscription>;
  readonly #over = Promise.withResolvers<void>();
  #outcomes: readonly NodeOutcome[] = [];
  #writer: ClientWriter | undefined;
  #running = 0;

  constructor(needs: EventStreamNeeds, options: EventStreamOptions, question: EventStreamQuestion) {
    this.#needs = needs;
    this.#options = options;
    this.#question = question;
    this.#startedMs = needs.now();
    const { untilNs } = question.query;
    this.#untilMs = untilNs === undefined ? undefined : Number(untilNs / 1_000_000n);
    const isPast = this.#untilMs !== undefined && this.#untilMs <= this.#startedMs;
    this.#backlog = new Backlog(
      { startTimer: needs.startTimer, emit: (node, event) => this.#write(node, event) },
      { deadlineMs: options.memberTimeoutMs, quietMs: isPast ? undefined : quietMs },
    );
  }

  /** Asks everybody once. Rejects when the client leaves. */
  async open(): Promise<readonly NodeOutcome[]> {
    const { call, selection } = this.#question;
    const members = call.view.members.filter(({ record }) => selection.asks(record));
    const missing = call.view.missing.filter(({ nodeName }) => selection.wants(nodeName));
    for (const member of members) {
      if (this.#mayFollow(member)) this.#add(member.record, this.#beginning(undefined));
    }
    for (const dead of missing) {
      if (this.#options.members === 'asked') this.#add(dead, this.#beginning(this.#startedMs));
    }
    this.#outcomes = await this.#ask({ ...call.view, members, missing }, call.signal);
    for (const subscription of this.#subscriptions.values()) {
      const { engineId, nodeName } = subscription;
      const outcome = this.#outcomes.find(({ node, member }) =>
        member === undefined ? node === nodeName : member.record.engineId === engineId,
      );
      if (outcome !== undefined) subscription.settle(outcome);
    }
    return this.#outcomes;
  }

  /** Resolves when the client has left or its question has ended; nothing is open then. */
  async run(res: ServerResponse, form: EventForm): Promise<void> {
    const { call, query } = this.#question;
    this.#writer = createClientWriter(res, form);
    const stop = (): void => this.stop();
    call.signal.addEventListener('abort', stop, { once: true });
    if (call.signal.aborted) stop();
    const endView = this.#needs.onViewChange((view) => this.#follow(view));
    let cancelExpiry: () => void = () => undefined;
    try {
      const first = [...this.#subscriptions.values()];
      if (query.hasHistory) this.#backlog.begin(first.filter(({ isOpen }) => isOpen));
      for (const subscription of first) this.#run(subscription.run());
      this.#follow(this.#needs.view());
      cancelExpiry = this.#expireAfterUntil();
      await this.#over.promise;
    } finally {
      cancelExpiry();
      endView();
      call.signal.removeEventListener('abort', stop);
      this.stop();
    }
  }

  stop(): void {
    this.#backlog.drop();
    for (const subscription of this.#subscriptions.values()) subscription.stop();
    this.#over.resolve();
  }

  /** Who was asked, and who did not answer to the end. Flat name, value list. */
  trailers(): readonly string[] {
    const { wants } = this.#question.selection;
    const nowMs = this.#needs.now();
    const { members, missing: dead } = this.#needs.view();
    // One that has left in good order is missed by nobody.
    const known = new Set([...members.map(({ record }) => record), ...dead].map(({ engineId }) => engineId));
    const followed = [...this.#subscriptions.values()].filter(
      ({ engineId, nodeName }) => known.has(engineId) && wants(nodeName),
    );
    const unasked = this.#options.members === 'asked' ? [] : this.#unaskedNodes();
    const missing = followed.flatMap((each) => (each.missing === undefined ? [] : [each.missing]));
    return missingHeaders(followed.length + unasked.length, [...missing, ...unasked], nowMs);
  }

  #unaskedNodes(): readonly MissingNode[] {
    return this.#outcomes.flatMap(({ node, member, outcome }) =>
      member?.self === true || outcome.kind !== 'missing'
        ? []
        : [{ node, reason: outcome.reason, sinceMs: outcome.sinceMs }],
    );
  }

  #mayFollow({ self }: Member): boolean {
    return self || this.#options.members === 'asked';
  }

  #beginning(liveFromMs: number | undefined): Beginning {
    const { hasHistory, sinceNs } = this.#question.query;
    if (hasHistory) return { kind: 'history', sinceNs };
    return liveFrom(liveFromMs);
  }

  #add(node: { readonly engineId: string; readonly nodeName: string }, beginning: Beginning): Subscription {
    const { engineId, nodeName } = node;
    const subscription: Subscription = new Subscription(
      {
        ...this.#needs,
        member: () => this.#needs.view().members.find(({ record }) => record.engineId === engineId),
        ask: (member) => this.#askAgain(member),
        connect: (member, sinceNs, limits) => this.#connect(member, sinceNs, limits),
        onEvent: (event) => {
          this.#backlog.add(subscription, event);
          if (subscription.isLive(event)) this.#backlog.end(subscription);
        },
        onEnd: () => this.#backlog.end(subscription),
        room: () => this.#writer?.room(),
      },
      { engineId, nodeName, position: new Position(beginning), untilMs: this.#untilMs },
    );
    this.#subscriptions.set(engineId, subscription);
    return subscription;
  }

  /** Those who came are followed from now on, and those who came back are told so. */
  #follow(view: ClusterView): void {
    for (const member of view.members) {
      const known = this.#subscriptions.get(member.record.engineId);
      if (known !== undefined) known.onView();
      else if (this.#mayFollow(member) && this.#question.selection.asks(member.record)) this.#join(member);
    }
  }

  #join({ record }: Member): void {
    if (this.#subscriptions.size >= maxSubscriptions) return;
    const subscription = this.#add(record, liveFrom(this.#needs.now()));
    this.#run(subscription.ask().then(() => subscription.run()));
  }

  #run(running: Promise<void>): void {
    this.#running += 1;
    // It rejects for a fault of ours only, which ends the stream where it would else go on without a node.
    running.then(
      () => {
        this.#running -= 1;
        if (this.#running === 0) this.#over.resolve();
      },
      (error: unknown) => this.#over.reject(error),
    );
  }

  #ask(view: ClusterView, signal: AbortSignal): Promise<readonly NodeOutcome[]> {
    const open = (member: Member, limits: FetchLimits): Promise<FetchedPart> => {
      const subscription = this.#subscriptions.get(member.record.engineId);
      return (
        subscription?.open(member, limits) ?? Promise.reject(new RangeError('a node that nobody follows'))
      );
    };
    return fanOut(
      {
        askEngine: (limits) => open(view.self, limits),
        askMember: open,
        breakers: this.#needs.breakers,
        now: this.#needs.now,
      },
      {
        view,
        signal,
        deadlineMs: this.#options.memberTimeoutMs,
        breaker: 'opened',
        members: this.#options.members,
      },
    );
  }

  async #askAgain(member: Member): Promise<NodeOutcome> {
    const view = { ...this.#needs.view(), members: [member], missing: [] };
    const [outcome] = await this.#ask(view, this.#question.call.signal);
    if (outcome === undefined) throw new RangeError('an answer for each that is asked');
    return outcome;
  }

  #connect(member: Member, sinceNs: bigint | undefined, limits: OpenLimits): Promise<OpenAnswer> {
    const { call, query } = this.#question;
    const asked = { ...call, view: this.#needs.view() };
    const request = questionOf(asked, { pace: 'list', query: toEngineQuery(query, sinceNs) }).to(member);
    const rawHeaders = [...withoutAccept(request.rawHeaders), 'Accept', 'application/jsonl'];
    return member.self
      ? this.#needs.engine({ ...request, rawHeaders }, limits)
      : this.#needs.member(member, { ...request, rawHeaders }, limits);
  }

  #write({ nodeName }: Subscription, event: EngineEvent): void {
    const { selection } = this.#question;
    if (event.ofSwarm) {
      if (selection.wantsOfSwarm(event) && this.#ofSwarm.add(event)) this.#writer?.write(event.bytes);
    } else if (selection.wants(nodeName)) {
      const alone = isAlone(this.#needs.view());
      this.#writer?.write(alone ? event.bytes : withNode(event, nodeName));
    }
  }

  /** From `until` on nobody is waited for who is away or silent. */
  #expireAfterUntil(): () => void {
    if (this.#untilMs === undefined) return () => undefined;
    const { startTimer, now } = this.#needs;
    const graceMs = this.#options.memberTimeoutMs;
    const untilMs = this.#untilMs;
    let cancel: () => void = () => undefined;
    const check = (): void => {
      const leftMs = untilMs - now();
      if (leftMs > 0) {
        cancel = startTimer(Math.min(leftMs, maxTimerMs), check);
        return;
      }
      for (const subscription of this.#subscriptions.values()) subscription.expire(graceMs);
      if (this.#running === 0) this.#over.resolve();
      cancel = startTimer(graceMs, check);
    };
    check();
    return () => cancel();
  }
}

/** `setTimeout` takes 31 bits. */
const maxTimerMs = 2 ** 31 - 1;

function liveFrom(ms: number | undefined): Beginning {
  return { kind: 'live', fromNs: ms === undefined ? undefined : BigInt(ms) * 1_000_000n };
}

/** Engines are read in the form that is cut most easily, whatever the client wants. */
function withoutAccept(rawHeaders: readonly string[]): readonly string[] {
  const isAccept = (at: number): boolean => rawHeaders[at]?.toLowerCase() === 'accept';
  return rawHeaders.filter((_, at) => !isAccept(at - (at % 2)));
}
