// Probes members: a direct ping, and when it stays silent, pings by others. Reports who was heard and who was not.
// It judges one probe at a time; what a failed probe means for the member is the detector's business.

import { AgentError } from '../errors.ts';
import type { Answer, Claim } from './messages.ts';
import { isRefusal, type MemberNetwork } from './network.ts';
import { chooseHelpers } from './ring.ts';
import { indirectAfterMs, type ProbeTiming, suspectAfterMs, suspectAfterRefusalMs } from './suspicion.ts';

export interface ProberNeeds {
  readonly network: MemberNetwork;
  readonly random: () => number;
  readonly monotonicMs: () => number;
  /** Opens a link if there is none. */
  readonly connect: (peerId: string) => Promise<void>;
  /** Told to the member with the ping, so that it can refute at once. */
  readonly claimAgainst: (peerId: string) => Claim | undefined;
  /** Members that may be asked to probe this one. */
  readonly helpersFor: (peerId: string) => readonly string[];
  readonly onAnswer: (peerId: string, answer: Answer, rttMs: number) => void;
  readonly onFailure: (peerId: string) => void;
}

export interface Prober {
  /** Starts a probe unless one is running. */
  probe(peerId: string, nowMs: number): void;
  isProbing(peerId: string): boolean;
  /** Moves running probes on: asks for help, gives up. */
  tick(nowMs: number): void;
  forget(peerId: string): void;
}

interface Probe {
  readonly peerId: string;
  readonly startedMs: number;
  indirectAtMs: number;
  failAtMs: number;
  askedHelpers: boolean;
}

/** A late answer still proves life, so the wait for it goes on after the probe was judged. */
const lateAnswerFactor = 4;
/** What a helper grants the member, in probe timeouts; its answer must reach the asker before the probe fails. */
const helperFactor = 0.8;

export function createProber(needs: ProberNeeds, timing: ProbeTiming): Prober {
  const probes = new Map<string, Probe>();

  const ping = async (peerId: string): Promise<void> => {
    if (!needs.network.isLinked(peerId)) await needs.connect(peerId);
    const sentMs = needs.monotonicMs();
    const question = { kind: 'ping', suspect: needs.claimAgainst(peerId) } as const;
    const answer = await needs.network.ask(peerId, question, timing.probeTimeoutMs * lateAnswerFactor);
    if (answer.kind !== 'ack') throw new AgentError('protocol-violation', `ping ${peerId}: not an ack`);
    probes.delete(peerId);
    needs.onAnswer(peerId, answer, needs.monotonicMs() - sentMs);
  };
  const askHelpers = (probe: Probe): void => {
    probe.askedHelpers = true;
    const timeoutMs = timing.probeTimeoutMs * helperFactor;
    for (const helper of chooseHelpers(needs.helpersFor(probe.peerId), needs.random)) {
      needs.network.ask(helper, { kind: 'ping-req', target: probe.peerId }, timeoutMs * 2).then(
        (answer) => {
          const reached = answer.kind === 'reached' && answer.reached;
          if (reached && probes.get(probe.peerId) === probe) probes.delete(probe.peerId);
        },
        // A helper that fails to answer proves nothing; the probe fails by itself.
        () => undefined,
      );
    }
  };
  const onPingFailed = (probe: Probe, error: unknown): void => {
    if (probes.get(probe.peerId) !== probe) return;
    probe.indirectAtMs = probe.startedMs;
    if (isRefusal(error)) {
      probe.failAtMs = Math.min(probe.failAtMs, probe.startedMs + suspectAfterRefusalMs(timing));
    }
  };
  return {
    probe: (peerId, nowMs) => {
      if (probes.has(peerId)) return;
      const probe: Probe = {
        peerId,
        startedMs: nowMs,
        indirectAtMs: nowMs + indirectAfterMs(timing),
        failAtMs: nowMs + suspectAfterMs(timing),
        askedHelpers: false,
      };
      probes.set(peerId, probe);
      ping(peerId).catch((error: unknown) => onPingFailed(probe, error));
    },
    isProbing: (peerId) => probes.has(peerId),
    tick: (nowMs) => {
      for (const probe of [...probes.values()]) {
        if (!probe.askedHelpers && nowMs >= probe.indirectAtMs) askHelpers(probe);
        if (nowMs < probe.failAtMs) continue;
        probes.delete(probe.peerId);
        needs.onFailure(probe.peerId);
      }
    },
    forget: (peerId) => {
      probes.delete(peerId);
    },
  };
}

/** Probes on behalf of another member. The answer says whether the target answered us in time. */
export async function probeForAnother(
  network: MemberNetwork,
  target: string,
  timing: ProbeTiming,
): Promise<Answer> {
  try {
    const timeoutMs = timing.probeTimeoutMs * helperFactor;
    await network.ask(target, { kind: 'ping', suspect: undefined }, timeoutMs);
    return { kind: 'reached', reached: true };
  } catch {
    // Any failure is the same answer: not reached from here.
    return { kind: 'reached', reached: false };
  }
}
