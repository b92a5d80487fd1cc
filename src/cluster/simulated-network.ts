// For tests: a network in memory under a clock that is moved by hand, with cuts, loss, crashes and delays.
// It behaves as TCP does: what is lost is sent again later, a crash closes connections, a cut is silence.

import { AgentError } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Answer, Question, Rumor } from './messages.ts';
import type { DialOptions, Endpoint, MemberNetwork, NetworkHandlers } from './network.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. */
export class SimulatedTime {
  #nowMs = 0;
  #order = 0;
  #timers: Timer[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  pending(): number {
    return this.#timers.length;
  }

  /** A clock of one machine. Its wall clock can be set apart from the others'. */
  clock(wall: { offsetMs: number }): Clock {
    return {
      monotonicMs: () => this.#nowMs,
      wallMs: () => 1_800_000_000_000 + this.#nowMs + wall.offsetMs,
      after: (delayMs, callback) => this.after(delayMs, callback),
    };
  }

  /** Runs everything that is due until then, letting promises settle after each moment. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    for (;;) {
      await settled();
      const next = Math.min(...this.#timers.map((timer) => timer.atMs));
      if (next > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next);
      const due = this.#timers.filter((timer) => timer.atMs <= this.#nowMs).sort((a, b) => a.order - b.order);
      this.#timers = this.#timers.filter((timer) => timer.atMs > this.#nowMs);
      for (const timer of due) timer.callback();
    }
    this.#nowMs = untilMs;
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Node {
  readonly peerId: string;
  readonly endpoint: Endpoint;
  readonly handlers: NetworkHandlers;
  readonly links: Set<string>;
}

/** Delays of TCP's first retransmissions: tail loss probe, then doubled timeouts. */
const retransmitMs = [200, 200, 400, 800, 1_600, 3_200];
const synRetransmitMs = [1_000, 2_000, 4_000];
const latencyMs = 1;

export class SimulatedNetwork {
  readonly #time: SimulatedTime;
  readonly #random: () => number;
  readonly #nodes = new Map<string, Node>();
  /** Pairs of addresses between which nothing passes. */
  readonly #cuts = new Set<string>();
  /** Probability that one packet is lost. */
  loss = 0;
  /** Addresses whose gossip has not begun: links lead there, rumors do not. */
  readonly deaf: Set<string> = new Set();
  /** Messages delivered, for estimates of traffic. */
  delivered = 0;

  constructor(time: SimulatedTime, random: () => number) {
    this.#time = time;
    this.#random = random;
  }

  cut(a: string, b: string): void {
    this.#cuts.add(pairOf(a, b));
  }

  heal(): void {
    this.#cuts.clear();
  }

  /** The process is gone: its sockets are closed, its port refuses. Others see it only where no cut hides it. */
  crash(address: string): void {
    const node = this.#at(address);
    if (node === undefined) return;
    this.#nodes.delete(node.peerId);
    for (const peerId of node.links) {
      const other = this.#nodes.get(peerId);
      if (other !== undefined && !this.#isCut(address, other.endpoint.address))
        this.#unlink(other, node.peerId);
    }
  }

  join(peerId: string): MemberNetwork {
    const self = (): Node => {
      const node = this.#nodes.get(peerId);
      if (node === undefined) throw new AgentError('unavailable', 'network is stopped');
      return node;
    };
    return {
      start: async (endpoint, handlers) => {
        if (endpoint === undefined) throw new AgentError('unavailable', 'every simulated member listens');
        this.#nodes.set(peerId, { peerId, endpoint, handlers, links: new Set() });
      },
      stop: async () => {
        const node = this.#nodes.get(peerId);
        if (node !== undefined) this.crash(node.endpoint.address);
      },
      dial: (endpoint, options) => this.#dial(self(), endpoint, options),
      isLinked: (other) => this.#nodes.get(peerId)?.links.has(other) === true,
      isLinkedTo: (endpoint) => {
        const other = this.#at(endpoint.address);
        return other !== undefined && self().links.has(other.peerId);
      },
      links: () => [...(this.#nodes.get(peerId)?.links ?? [])],
      ask: (other, question, timeoutMs) => this.#ask(self(), other, question, timeoutMs),
      publish: async (rumor) => {
        const node = this.#nodes.get(peerId);
        return node === undefined ? [] : this.#flood(node, peerId, rumor, new Set([peerId]));
      },
      drop: (other) => {
        const node = this.#nodes.get(peerId);
        if (node === undefined) return;
        this.#unlink(node, other);
        const remote = this.#nodes.get(other);
        if (remote === undefined || this.#isCut(node.endpoint.address, remote.endpoint.address)) return;
        this.#unlink(remote, peerId);
      },
    };
  }

  #at(address: string): Node | undefined {
    return [...this.#nodes.values()].find((node) => node.endpoint.address === address);
  }

  #isCut(a: string, b: string): boolean {
    return this.#cuts.has(pairOf(a, b));
  }

  #unlink(node: Node, peerId: string): void {
    if (!node.links.delete(peerId)) return;
    this.#time.after(latencyMs, () => node.handlers.onLinkDown(peerId));
  }

  /** How long a packet takes, retransmissions included. Undefined: the kernel gave up. */
  #delayMs(retries: readonly number[]): number | undefined {
    let delayMs = latencyMs;
    for (const retryMs of retries) {
      if (this.#random() >= this.loss) return delayMs;
      delayMs += retryMs;
    }
    return undefined;
  }

  /** Calls back on arrival; silence where there is a cut, at the sending or at the arrival. */
  #send(from: string, to: string, retries: readonly number[], arrive: () => void): void {
    const delayMs = this.#delayMs(retries);
    if (delayMs === undefined) return;
    this.#time.after(delayMs, () => {
      if (this.#isCut(from, to)) return;
      this.delivered += 1;
      arrive();
    });
  }

  #dial(node: Node, endpoint: Endpoint, options: DialOptions): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const from = node.endpoint.address;
    const cancel = this.#time.after(options.timeoutMs, () =>
      reject(new AgentError('timeout', `dial ${endpoint.address}: timeout`)),
    );
    promise.catch(() => undefined).finally(cancel);
    this.#send(from, endpoint.address, synRetransmitMs, () => {
      const target = this.#at(endpoint.address);
      this.#send(endpoint.address, from, synRetransmitMs, () => {
        if (target === undefined || !this.#nodes.has(target.peerId)) {
          return reject(Object.assign(new Error('connect: refused'), { code: 'ECONNREFUSED' }));
        }
        if (target === node || (options.peerId !== undefined && options.peerId !== target.peerId)) {
          return reject(new AgentError('member-untrusted', `dial ${endpoint.address}: another peer`));
        }
        this.#link(node, target);
        resolve(target.peerId);
      });
    });
    return promise;
  }

  #link(node: Node, target: Node): void {
    if (this.#nodes.get(node.peerId) !== node) return;
    target.links.add(node.peerId);
    node.links.add(target.peerId);
    target.handlers.onLinkUp(node.peerId, 'inbound');
    node.handlers.onLinkUp(target.peerId, 'outbound');
  }

  #ask(node: Node, peerId: string, question: Question, timeoutMs: number): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const target = this.#nodes.get(peerId);
    if (!node.links.has(peerId)) {
      reject(new AgentError('member-unreachable', `ask ${peerId}: no link`));
      return promise;
    }
    const cancel = this.#time.after(timeoutMs, () =>
      reject(new AgentError('timeout', `ask ${peerId}: timeout`)),
    );
    promise.catch(() => undefined).finally(cancel);
    if (target === undefined) return promise;
    const from = node.endpoint.address;
    const to = target.endpoint.address;
    this.#send(from, to, retransmitMs, () => {
      if (this.#nodes.get(peerId) !== target || !target.links.has(node.peerId)) return;
      // Copied, as the wire does: nobody shares objects with another member.
      target.handlers.onQuestion(node.peerId, structuredClone(question)).then(
        (answer) => this.#send(to, from, retransmitMs, () => resolve(structuredClone(answer))),
        () => undefined,
      );
    });
    return promise;
  }

  /** Returns the neighbours it is sent to. */
  #flood(node: Node, from: string, rumor: Rumor, seen: Set<string>): readonly string[] {
    const sent: string[] = [];
    for (const peerId of node.links) {
      const target = this.#nodes.get(peerId);
      if (target === undefined || seen.has(peerId) || this.deaf.has(target.endpoint.address)) continue;
      seen.add(peerId);
      sent.push(peerId);
      this.#send(node.endpoint.address, target.endpoint.address, retransmitMs, () => {
        if (this.#nodes.get(peerId) !== target) return;
        target.handlers.onRumor(from, structuredClone(rumor));
        this.#flood(target, from, rumor, seen);
      });
    }
    return sent;
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
