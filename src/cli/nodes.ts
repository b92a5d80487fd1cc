// `flotilla nodes`: who is here, who is missing, and how well each is reached.

import type { ListedNode, NodesReport } from '../api/nodes.ts';
import { AgentError } from '../errors.ts';
import { askAgent } from './control-client.ts';
import { safeText } from './redact.ts';
import { formatTable } from './table.ts';
import { parseWords } from './words.ts';

/** Members that are silent cost some seconds each, a part of them at a time. */
const nodesTimeoutMs = 30_000;

export async function runNodes(argv: readonly string[]): Promise<number> {
  const words = parseWords('nodes', argv);
  const report = selectNodes(await readReport(words.socketPath), words.nodes);
  if (words.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(words.has('quiet') ? namesText(report) : nodesText(report));
  return 0;
}

export async function readReport(socketPath: string): Promise<NodesReport> {
  // The agent that answers is this same program: its answer has the shape that api/nodes.ts gives it.
  return (await askAgent(socketPath, 'GET', '/nodes', nodesTimeoutMs)) as NodesReport;
}

/** Pure. Throws for a name that nobody has. */
export function selectNodes(report: NodesReport, names: readonly string[]): NodesReport {
  if (names.length === 0) return report;
  const isNamed = ({ name, id }: ListedNode, wanted: string): boolean => name === wanted || id === wanted;
  const unknown = names.filter((wanted) => !report.nodes.some((node) => isNamed(node, wanted)));
  if (unknown.length > 0) throw new AgentError('member-unknown', `no such node: ${unknown.join(', ')}`);
  return {
    ...report,
    nodes: report.nodes.filter((node) => names.some((wanted) => isNamed(node, wanted))),
  };
}

const headings = ['NAME', 'STATE', 'ROLE', 'ENGINE', 'API', 'AGENT', 'RTT', 'LAST SEEN'];

export function nodesText({ cluster, atMs, nodes }: NodesReport): string {
  const rows = nodes.map((node) =>
    [
      `${node.name}${node.self ? ' *' : ''}`,
      node.state,
      roleText(node),
      node.engineVersion,
      node.apiVersion === null ? null : `${node.minApiVersion}-${node.apiVersion}`,
      node.agentVersion,
      node.rttMs === null ? null : `${node.rttMs.toFixed(1)} ms`,
      lastSeenText(node, atMs),
    ].map((cell) => (cell === null ? null : safeText(cell))),
  );
  const hint = cluster === 'joining' ? 'joining: no other agent has answered yet (flotilla doctor)\n' : '';
  const lost = nodes.some(({ state, fault }) => state !== 'alive' || fault !== null);
  return `${formatTable(headings, rows)}${hint}${lost ? 'why: flotilla doctor\n' : ''}`;
}

function namesText({ nodes }: NodesReport): string {
  return nodes.map(({ name }) => `${name}\n`).join('');
}

function roleText({ role, leader }: ListedNode): string | null {
  return leader ? 'leader' : role;
}

function lastSeenText({ lastSeenMs, fault, state }: ListedNode, atMs: number): string | null {
  if (state === 'alive' && fault !== null) return 'no answer now';
  if (lastSeenMs === null) return state === 'no-agent' ? 'never' : null;
  return agoText(atMs - lastSeenMs);
}

/** As the docker CLI rounds. */
export function agoText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds === 0) return 'now';
  if (seconds < 120) return `${seconds} seconds ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} minutes ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} hours ago` : `${Math.floor(hours / 24)} days ago`;
}
