// The events of one node for one client, for as long as the client is there: read as they come, and asked for again from
// where they were whenever the stream ends before its time.

import { buffer } from 'node:stream/consumers';
import type { Member } from '../../cluster/cluster.ts';
import { AgentError, reasonOf } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { missingNodeOf } from '../endpoint/settle.ts';
import type { NodeOutcome } from '../fan-out.ts';
import { headerValue } from '../headers.ts';
import type { MissingNode } from '../missing-header.ts';
import type { FetchedPart, OpenAnswer, OpenLimits } from '../proxy.ts';
import type { StartTimer } from '../timer.ts';
import { type EngineEvent, readEvent } from './event.ts';
import { Framer } from './framer.ts';
import type { Position } from './position.ts';

export interface SubscriptionNeeds {
  /** The member as of now; undefined while it is gone. */
  readonly member: () => Member | undefined;
  /** Asks it once by calling `open`, if it is to be asked at all. */
  readonly ask: (member: Member) => Promise<NodeOutcome>;
  readonly connect: (member: Member, sinceNs: bigint | undefined, limits: OpenLimits) => Promise<OpenAnswer>;
  readonly onEvent: (event: EngineEvent) => void;
  /** The stream that was opened first has ended. */
  readonly onEnd: () => void;
  /** Undefined where the client has room for more. */
  readonly room: () => Promise<void> | undefined;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  readonly startTimer: StartTimer;
  readonly random: () => number;
  readonly log: Logger;
}

export interface SubscriptionOptions {
  readonly engineId: string;
  readonly nodeName: string;
  readonly position: Position;
  /** Wall clock at which the client's question ends, milliseconds. */
  readonly untilMs: number | undefined;
}

/** Between two attempts, growing; up to half of it is left to chance, so that streams do not come back in step. */
const retryMs = { first: 200, longest: 5_000 } as const;
/** A stream that lasted so long has not failed. */
const steadyMs = 5_000;
/** The dates of answers are whole seconds. */
const dateStepMs = 1_000;
/** A refusal is an error of some hundred bytes. */
const maxRefusalBytes = 64 * 1024;

interface Stream {
  readonly answer: OpenAnswer;
  /** By how much the engine's clock is ahead of ours, milliseconds. */
  readonly aheadMs: number;
}

type State =
  /** Between attempts, and during one. */
  | { readonly kind: 'away' }
  | { readonly kind: 'opened'; readonly stream: Stream }
  /** `progressMs` moves with each piece, and is undefined while the client has no room for more. */
  | { readonly kind: 'reading'; progressMs: number | undefined }
  | { readonly kind: 'ended' };

export class Subscription {
  readonly engineId: string;
  readonly #needs: SubscriptionNeeds;
  readonly #options: SubscriptionOptions;
  #nodeName: string;
  #state: State = { kind: 'away' };
  #attempt: AbortController | undefined;
  #missing: MissingNode | undefined;
  #failures = 0;
  /** By the engine's clock, when it first answered. */
  #answeredMs: number | undefined;
  /** Which agent was asked last. */
  #tried: string | undefined;
  #resume: () => void = () => undefined;

  constructor(needs: SubscriptionNeeds, options: SubscriptionOptions) {
    this.#needs = needs;
    this.#options = options;
    this.engineId = options.engineId;
    this.#nodeName = options.nodeName;
  }

  get nodeName(): string {
    return this.#nodeName;
  }

  /** Whether an engine's answer waits to be read. */
  get isOpen(): boolean {
    return this.#state.kind === 'opened';
  }

  /** Why nothing comes of it; undefined while something may. */
  get missing(): MissingNode | undefined {
    return this.#missing;
  }

  /** Whether an event is surely none of the history that the engine first answered with. */
  isLive({ timeNs }: EngineEvent): boolean {
    return (
      timeNs !== undefined && this.#answeredMs !== undefined && timeNs >= nsOf(this.#answeredMs + dateStepMs)
    );
  }

  /** One attempt, for the fan-out. What opens is kept for `run`; the part only tells that it did. */
  async open(member: Member, { signal, firstByteMs }: OpenLimits): Promise<FetchedPart> {
    const attempt = new AbortController();
    const onAbort = (): void => attempt.abort(signal.reason);
    this.#attempt = attempt;
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const { position } = this.#options;
      const limits = { signal: attempt.signal, firstByteMs };
      const answer = await this.#needs.connect(member, position.resumeNs(), limits);
      const { status, rawHeaders } = answer;
      if (status !== 200) return { status, rawHeaders, body: await this.#refusalOf(answer, firstByteMs) };
      this.#keep(member, answer);
      return { status, rawHeaders, body: Buffer.alloc(0) };
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** What the fan-out found. */
  settle(outcome: NodeOutcome): void {
    this.#missing = this.#state.kind === 'opened' ? undefined : missingNodeOf(outcome, this.#needs.now());
  }

  /** Resolves when the client's question has been answered by this node, or is not waited for any longer. */
  async run(): Promise<void> {
    for (;;) {
      const complete = this.#state.kind === 'opened' && (await this.#read(this.#state.stream));
      this.#needs.onEnd();
      if (complete || this.#isOver()) break;
      await this.#pause();
      if (this.#isOver()) break;
      await this.ask();
    }
    this.stop();
  }

  async ask(): Promise<void> {
    const member = this.#needs.member();
    this.#tried = member?.record.peerId;
    if (member === undefined) return;
    try {
      this.settle(await this.#needs.ask(member));
    } catch {
      // The client has left, and with it all of this.
    }
  }

  /** The members have changed: one that is back is not waited for. */
  onView(): void {
    const current = this.#needs.member();
    if (current !== undefined && current.record.peerId !== this.#tried) {
      this.#failures = 0;
      this.#resume();
    }
  }

  /** The client's question has ended: who is away is not waited for, nor who has said nothing for so long. */
  expire(graceMs: number): void {
    const { now } = this.#needs;
    if (this.#state.kind === 'reading') {
      const { progressMs } = this.#state;
      if (progressMs === undefined) return;
      // A quiet stream is as good as any until then.
      const silentSinceMs = Math.max(progressMs, this.#options.untilMs ?? 0);
      if (now() - silentSinceMs < graceMs) return;
      this.#missing = { node: this.#nodeName, reason: 'timeout', sinceMs: silentSinceMs };
      this.stop();
    } else this.#resume();
  }

  /** For good: nothing is open afterwards. */
  stop(): void {
    if (this.#state.kind === 'opened') this.#state.stream.answer.body.destroy();
    this.#state = { kind: 'ended' };
    this.#attempt?.abort(
      new AgentError('cancelled', `follow events of ${this.#nodeName}: nobody reads them`),
    );
    this.#resume();
  }

  #keep(member: Member, answer: OpenAnswer): void {
    if (this.#state.kind === 'ended') {
      answer.body.destroy();
      return;
    }
    const nowMs = this.#needs.now();
    const dateMs = dateOf(answer.rawHeaders) ?? nowMs;
    this.#nodeName = member.record.nodeName;
    this.#answeredMs ??= dateMs;
    this.#options.position.begin(nsOf(dateMs));
    this.#state = { kind: 'opened', stream: { answer, aheadMs: dateMs - nowMs } };
    // An error before somebody reads is met again by who then does.
    answer.body.on('error', () => undefined);
  }

  /** True when the stream ended because the question did. */
  async #read({ answer, aheadMs }: Stream): Promise<boolean> {
    const { now, log } = this.#needs;
    const startedMs = now();
    const state: State = { kind: 'reading', progressMs: startedMs };
    this.#state = state;
    let reason = 'ended';
    try {
      await this.#readBody(answer, state);
      const { untilMs } = this.#options;
      if (untilMs !== undefined && untilMs <= now() + aheadMs + dateStepMs) return true;
    } catch (error) {
      reason = reasonOf(error);
    }
    if (now() - startedMs >= steadyMs) this.#failures = 0;
    if (this.#hasEnded()) return false;
    this.#state = { kind: 'away' };
    this.#missing = { node: this.#nodeName, reason: 'reset', sinceMs: now() };
    log.debug('event stream interrupted', { node: this.#nodeName, reason });
    return false;
  }

  async #readBody({ body }: OpenAnswer, state: Extract<State, { kind: 'reading' }>): Promise<void> {
    const { now, room, onEvent, log } = this.#needs;
    const framer = new Framer();
    let skipped = 0;
    for await (const chunk of body) {
      // Streams of this transport carry bytes.
      for (const bytes of framer.push(chunk as Buffer)) {
        const event = readEvent(bytes);
        if (!this.#options.position.accept(event)) continue;
        this.#failures = 0;
        onEvent(event);
      }
      if (framer.skipped > skipped) log.warn('event left out: too long', { node: this.#nodeName });
      skipped = framer.skipped;
      const waiting = room();
      if (waiting !== undefined) {
        state.progressMs = undefined;
        await waiting;
      }
      state.progressMs = now();
    }
  }

  async #refusalOf({ body }: OpenAnswer, withinMs: number): Promise<Buffer> {
    const late = new AgentError('timeout', `read refusal of ${this.#nodeName}: not at its end`);
    const cancel = this.#needs.startTimer(withinMs, () => body.destroy(late));
    try {
      return await buffer(upTo(body, maxRefusalBytes));
    } finally {
      cancel();
      body.destroy();
    }
  }

  #pause(): Promise<void> {
    const { startTimer, random, member } = this.#needs;
    const { promise, resolve } = Promise.withResolvers<void>();
    const delayMs = Math.min(retryMs.longest, retryMs.first * 2 ** this.#failures);
    this.#failures += 1;
    // One that is gone comes back with a change of the view.
    const isHere = member() !== undefined;
    if (!isHere) this.#tried = undefined;
    const cancel = isHere ? startTimer(delayMs * (0.5 + random() / 2), resolve) : nothing;
    this.#resume = () => {
      cancel();
      resolve();
    };
    return promise;
  }

  #isOver(): boolean {
    const { untilMs } = this.#options;
    return this.#hasEnded() || (untilMs !== undefined && this.#needs.now() >= untilMs);
  }

  /** Apart, as it changes while others wait. */
  #hasEnded(): boolean {
    return this.#state.kind === 'ended';
  }
}

async function* upTo(body: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) return;
    yield chunk;
  }
}

function dateOf(rawHeaders: readonly string[]): number | undefined {
  const dateMs = Date.parse(headerValue(rawHeaders, 'date') ?? '');
  return Number.isNaN(dateMs) ? undefined : dateMs;
}

function nsOf(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}

const nothing = (): void => undefined;
