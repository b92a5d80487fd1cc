// The timing rules of the failure detector: when a probe has failed, and when a suspect is dead.
// Pure. All times are patient time, which does not run while this process itself was held up.

export interface ProbeTiming {
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
}

/** How often the detector looks at its clock. */
export const tickMs = 50;
/** A late tick advances patient time by no more than this, however late it was. */
export const maxTickAdvanceMs = 60;

/**
 * Local health (Lifeguard, section IV-A): a process that was not scheduled cannot blame others for silence. Instead of
 * a health score, time itself slows down while we are held up: answers that wait in the socket are read first.
 */
export function patientAdvance(elapsedMs: number): number {
  return Math.min(Math.max(elapsedMs, 0), maxTickAdvanceMs);
}

/** After this much silence others are asked to probe. Half the timeout: a LAN answers in a hundredth of it. */
export function indirectAfterMs(timing: ProbeTiming): number {
  return timing.probeTimeoutMs / 2;
}

/** After this much silence, directly and through others, the member is suspected. */
export function suspectAfterMs(timing: ProbeTiming): number {
  return timing.probeTimeoutMs * 1.5;
}

/** A refused dial is strong evidence; what is left to wait for is one round of indirect probes. */
export function suspectAfterRefusalMs(timing: ProbeTiming): number {
  return timing.probeTimeoutMs * 0.4;
}

/** How long a member that others declared dead has to answer our own probe before we believe it. */
export function hearsayCheckMs(timing: ProbeTiming): number {
  return timing.probeTimeoutMs / 2;
}

/** As many members must have found a suspect silent before its time to refute is cut short. */
export const neededAccusers = 2;

export interface SuspicionFacts {
  /** How many members, we included, found the suspect silent by their own probes. */
  readonly accusers: number;
  /** How many other live members there are that could find so. */
  readonly possibleConfirmers: number;
}

/**
 * How long a suspect has to refute. Confirmed over another link: one timeout. Nobody there to confirm (two members):
 * one and a half. Others are there but none confirms: two, for then the trouble may be ours.
 * With the defaults of 1 s and 500 ms a silent member is dead after at most 1,000 + 750 + 500 ms, and two ticks.
 */
export function suspicionTimeoutMs(facts: SuspicionFacts, timing: ProbeTiming): number {
  if (facts.possibleConfirmers === 0) return timing.probeTimeoutMs * 1.5;
  return facts.accusers >= neededAccusers ? timing.probeTimeoutMs : timing.probeTimeoutMs * 2;
}
