// `flotilla doctor`: what the agent of this node found, in the order of the way to the others; without an agent, what
// can be seen from here (doctor-alone.ts). Ends with 0 when nothing is a problem.

import { type DoctorCheck, type DoctorReport, toReport } from '../api/doctor/report.ts';
import { AgentError } from '../errors.ts';
import { askAgent } from './control-client.ts';
import { examineAlone } from './doctor-alone.ts';
import { safeText } from './redact.ts';
import { parseWords } from './words.ts';

/** The agent itself gives up earlier, and says what it found until then. */
const doctorTimeoutMs = 45_000;

export async function runDoctor(argv: readonly string[]): Promise<number> {
  const { nodes, json, socketPath } = parseWords('doctor', argv);
  const report = selectChecks(await readReport(socketPath), nodes);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : doctorText(report));
  return report.problems === 0 ? 0 : 1;
}

async function readReport(socketPath: string): Promise<DoctorReport> {
  try {
    // The agent that answers is this same program: its answer has the shape that api/doctor/report.ts gives it.
    return (await askAgent(socketPath, 'GET', '/doctor', doctorTimeoutMs)) as DoctorReport;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return examineAlone(socketPath, error);
  }
}

/** Pure. What is about these nodes; all without any, or when no agent knows of nodes. Throws for an unknown name. */
export function selectChecks(report: DoctorReport, nodes: readonly string[]): DoctorReport {
  if (nodes.length === 0 || report.node === null) return report;
  const known = new Set([...report.members, ...report.checks.map(({ subject }) => subject)]);
  const unknown = nodes.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new AgentError(
      'member-unknown',
      `neither a member nor an address looked at: ${unknown.join(', ')}`,
    );
  }
  return toReport(
    report,
    report.checks.filter(({ subject }) => subject !== null && nodes.includes(subject)),
  );
}

const marks: Readonly<Record<DoctorCheck['level'], string>> = {
  ok: 'ok     ',
  warning: 'WARNING',
  problem: 'PROBLEM',
};
const checkWidth = 10;

export function doctorText({ node, problems, warnings, checks }: DoctorReport): string {
  const lines = checks.map(({ check, subject, level, seen, remedy }) => {
    const about = subject === null ? '' : `${subject}: `;
    const line = `${marks[level]}  ${check.padEnd(checkWidth)} ${safeText(`${about}${seen}`)}\n`;
    return remedy === null ? line : `${line}${' '.repeat(remedyIndent)}-> ${safeText(remedy)}\n`;
  });
  const counts =
    problems + warnings === 0
      ? 'nothing is wrong'
      : `${count(problems, 'problem')}, ${count(warnings, 'warning')}`;
  return `${lines.join('')}${node === null ? 'this node' : `seen from ${safeText(node)}`}: ${counts}\n`;
}

const remedyIndent = 'PROBLEM'.length + 2 + checkWidth + 1;

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
