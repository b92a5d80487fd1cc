// What this member knows: the table, a watch per peer, its own record, and patient time. Everything else acts on it.
// Records enter here only: opened, checked against our Swarm and our own engine, then applied.

import { reasonOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Clock } from './clock.ts';
import type { MemberRecord } from './cluster.ts';
import { createMemberTable, type MemberTable, type Moment } from './member-table.ts';
import { claimOf, compareVersions, isAbout, isLive } from './membership.ts';
import type { Claim, StateLine } from './messages.ts';
import { type Identity, openRecord, type SignedRecord, type SignedText } from './record.ts';
import { createSelfRecord, type SelfRecord, type SelfRecordNeeds } from './self-record.ts';
import { patientAdvance } from './suspicion.ts';
import { createWatches, type Watches } from './watch.ts';

export interface LocalStateNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly identity: Identity;
  readonly describe: SelfRecordNeeds['describe'];
  /** Tells the others a new version of our record. */
  readonly announce: (own: SignedText) => void;
  /** Called once after a batch of changes. */
  readonly onChange: () => void;
  /** A newer start of this engine's agent is claimed. Whoever composes us finds out whether that process lives. */
  readonly onRival: (rival: MemberRecord) => void;
}

export interface Accepted {
  readonly signed: SignedRecord;
  /** Whether others should hear of it too. */
  readonly news: boolean;
}

export class LocalState {
  readonly table: MemberTable = createMemberTable();
  readonly watches: Watches = createWatches();
  readonly peerId: string;
  readonly #needs: LocalStateNeeds;
  readonly #self: SelfRecord;
  #nowMs = 0;
  #lastAdvanceMs: number;
  #changed = true;
  #joined = false;
  /** What others said made us write a new version since the last tick. */
  #answered = false;
  /** What else they said since then, to be answered with the next tick. */
  #dueClaim: Claim | undefined;
  #dueGeneration: number | undefined;

  constructor(needs: LocalStateNeeds, highestSeen: number) {
    this.#needs = needs;
    this.peerId = needs.identity.peerId;
    this.#lastAdvanceMs = needs.clock.monotonicMs();
    this.#self = createSelfRecord({ ...needs, wallMs: () => needs.clock.wallMs() }, highestSeen);
    this.table.applyRecord(this.#self.current(), 'alive', this.#moment(0));
  }

  /** Patient time: does not run while this process was held up. */
  nowMs(): number {
    return this.#nowMs;
  }

  advance(): void {
    const realMs = this.#needs.clock.monotonicMs();
    this.#nowMs += patientAdvance(realMs - this.#lastAdvanceMs);
    this.#lastAdvanceMs = realMs;
    this.#answerDue();
  }

  self(): SignedRecord {
    return this.#self.current();
  }

  joined(): boolean {
    return this.#joined;
  }

  markJoined(): void {
    if (this.#joined) return;
    this.#joined = true;
    this.#changed = true;
  }

  isLivePeer(peerId: string): boolean {
    const entry = this.table.byPeer(peerId);
    return entry !== undefined && isLive(entry);
  }

  /** The claim that a peer must refute, if it is suspected. */
  suspicionOf(peerId: string): Claim | undefined {
    const entry = this.table.byPeer(peerId);
    return entry?.state === 'suspect' ? claimOf(entry.signed.record) : undefined;
  }

  /** Live members that are not in doubt themselves, without this member and the given one. */
  trustedOthers(peerId: string): readonly string[] {
    const others: string[] = [];
    for (const entry of this.table.entries()) {
      const other = entry.signed.record.peerId;
      if (entry.state === 'alive' && other !== peerId && other !== this.peerId) others.push(other);
    }
    return others;
  }

  /** Returns whether the claim changed anything. */
  applyClaim(claim: Claim, state: 'suspect' | 'dead'): boolean {
    const changed = this.table.applyClaim(claim, state, this.#moment(0)) !== undefined;
    if (changed) this.#changed = true;
    return changed;
  }

  /** Opens and applies a record of another member. Best effort: one that is bad or not for us is logged and dropped. */
  accept(line: StateLine): Accepted | undefined {
    let signed: SignedRecord | undefined;
    try {
      const known = (engineId: string): SignedRecord | undefined => this.table.get(engineId)?.signed;
      signed = openRecord(line, known, this.#needs.clock.wallMs());
    } catch (error) {
      this.#needs.log.debug('member record refused', { reason: reasonOf(error) });
      return undefined;
    }
    if (signed === undefined || !this.#isOurs(signed, line)) return undefined;
    const before = this.table.get(signed.record.engineId);
    // A death is believed of whom we do not hold alive; about the others the suspicion rules decide.
    const isDead = line.state === 'dead' && (before === undefined || !isLive(before));
    const state = isDead ? 'dead' : 'alive';
    const claimed = signed.leaving ? 'left' : state;
    const ageMs = claimed === line.state && claimed !== 'alive' ? line.ageMs : 0;
    const entry = this.table.applyRecord(signed, claimed, this.#moment(ageMs));
    if (entry === undefined) return { signed, news: false };
    this.#changed = true;
    // A rumor carries neither state nor age. Who did not know a dead member would take it for alive, and who did not
    // know one that left would remember it for another full time, and so on for ever.
    return { signed, news: isLive(entry) || (before !== undefined && entry.state === 'left') };
  }

  /**
   * A suspicion or death of this very version of us: write a newer one. An older one is refuted already; of a newer one
   * only a record counts, for that has our signature, and a bare number could take us beyond what others accept.
   * A first one is refuted at once; one about the version that refuted it, with the next tick. Each is signed and goes
   * to everybody, so their number must not follow from how often somebody accuses.
   */
  refute(claim: Claim): void {
    if (!isAbout(claim, this.self().record)) return;
    if (this.#answered) {
      this.#dueClaim = claim;
      return;
    }
    this.#answered = true;
    this.#needs.log.info('refuted a suspicion about this member', { incarnation: claim.incarnation });
    this.#self.refute();
    this.#publishSelf();
  }

  refresh(): void {
    if (this.#self.refresh()) this.#publishSelf();
  }

  /** A process of this engine that is gone has this generation: write a newer one. As often as refutations. */
  outlive(generation: number): void {
    if (generation < this.self().record.generation) return;
    if (this.#answered) {
      this.#dueGeneration = Math.max(this.#dueGeneration ?? 0, generation);
      return;
    }
    this.#answered = true;
    this.#self.outlive(generation);
    this.#publishSelf();
  }

  /** Returns the goodbye, which the caller tells to the others. */
  leave(): SignedText {
    this.#self.leave();
    return toText(this.self());
  }

  expire(): void {
    if (this.table.expire(this.#nowMs)) this.#changed = true;
  }

  /** Whether anything changed since the last call. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** Whether a record is about another member, of our Swarm. Records about our own engine are settled here. */
  #isOurs(signed: SignedRecord, line: StateLine): boolean {
    const own = this.self();
    const { record, swarmId } = signed;
    if (swarmId !== undefined && own.swarmId !== undefined && swarmId !== own.swarmId) {
      this.#needs.log.debug('member of another swarm refused', { node: record.nodeName });
      return false;
    }
    if (record.engineId === own.record.engineId) {
      this.#onOwnEngine(signed, line);
      return false;
    }
    if (record.peerId === this.peerId) {
      this.#needs.log.debug('this identity is used on another engine', { node: record.nodeName });
      return false;
    }
    return true;
  }

  /**
   * Before we joined, everything said about our engine was left by an earlier process: we outlive it. Afterwards a
   * newer version means that another process started later, unless it is known to be gone. One of our own generation is
   * a predecessor's, which started with the same reading of the clock.
   */
  #onOwnEngine(signed: SignedRecord, line: StateLine): void {
    const own = this.self().record;
    if (line.state === 'dead' || line.state === 'suspect') this.refute(claimOf(signed.record));
    if (compareVersions(signed.record, own) !== 'newer') return;
    const gone = line.state === 'dead' || signed.leaving;
    if (gone || !this.#joined) this.outlive(signed.record.generation);
    else this.#needs.onRival(signed.record);
  }

  #answerDue(): void {
    const claim = this.#dueClaim;
    const generation = this.#dueGeneration;
    this.#answered = false;
    this.#dueClaim = undefined;
    this.#dueGeneration = undefined;
    // The new generation makes a claim about the old one void.
    if (generation !== undefined) this.outlive(generation);
    if (claim !== undefined) this.refute(claim);
  }

  #publishSelf(): void {
    const signed = this.self();
    this.table.applyRecord(signed, 'alive', this.#moment(0));
    this.#changed = true;
    this.#needs.announce(toText(signed));
  }

  #moment(ageMs: number): Moment {
    return { nowMs: this.#nowMs - ageMs, wallMs: this.#needs.clock.wallMs() - ageMs };
  }
}

export function toText(signed: SignedText): SignedText {
  return { text: signed.text, signature: signed.signature };
}
