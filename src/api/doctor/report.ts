// What the doctor says: one line for each thing that was looked at, with what was seen and what to do about it.

/** The answer of `GET /doctor` on the control socket, and of `flotilla doctor --json`. Its keys are kept. */
export interface DoctorReport {
  /** Name of the node that looked; null when no agent runs there. */
  readonly node: string | null;
  /** Names of the live members, this node's among them. */
  readonly members: readonly string[];
  /** Wall clock, milliseconds. */
  readonly atMs: number;
  readonly problems: number;
  readonly warnings: number;
  readonly checks: readonly DoctorCheck[];
}

export type CheckName =
  | 'agent'
  | 'engine'
  | 'sockets'
  | 'advertise'
  | 'cluster'
  | 'discovery'
  | 'port'
  | 'secret'
  | 'member'
  | 'clock'
  | 'mtu'
  | 'versions'
  | 'swarm'
  | 'edge'
  | 'tunnel';

export interface DoctorCheck {
  readonly check: CheckName;
  /** The node or the address that it is about; null: this agent, or all. */
  readonly subject: string | null;
  readonly level: 'ok' | 'warning' | 'problem';
  readonly seen: string;
  /** Null when there is nothing to do. */
  readonly remedy: string | null;
}

export function ok(check: CheckName, seen: string, subject: string | null = null): DoctorCheck {
  return { check, subject, level: 'ok', seen, remedy: null };
}

export function warning(check: CheckName, subject: string | null, seen: string, remedy: string): DoctorCheck {
  return { check, subject, level: 'warning', seen, remedy };
}

export function problem(check: CheckName, subject: string | null, seen: string, remedy: string): DoctorCheck {
  return { check, subject, level: 'problem', seen, remedy };
}

export function toReport(
  about: Pick<DoctorReport, 'node' | 'members' | 'atMs'>,
  checks: readonly DoctorCheck[],
): DoctorReport {
  const { node, members, atMs } = about;
  const count = (level: DoctorCheck['level']): number => checks.filter((one) => one.level === level).length;
  return { node, members, atMs, problems: count('problem'), warnings: count('warning'), checks };
}
