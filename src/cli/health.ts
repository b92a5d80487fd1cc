// `flotilla health`: how the agent on this node is, in words and as an exit code. The container's HEALTHCHECK.

import type { HealthReport } from '../api/health.ts';
import { askAgent } from './control-client.ts';
import { parseWords } from './words.ts';

export async function runHealth(argv: readonly string[]): Promise<number> {
  const words = parseWords('health', argv);
  // The agent that answers is this same program: its answer has the shape that api/health.ts gives it.
  const report = (await askAgent(words.socketPath, 'GET', '/health')) as HealthReport;
  process.stdout.write(words.json ? `${JSON.stringify(report)}\n` : healthText(report));
  return report.alive && (report.ready || !words.has('ready')) ? 0 : 1;
}

export function healthText(report: HealthReport): string {
  const state = report.alive ? (report.ready ? 'ready' : 'alive, not ready') : 'not alive';
  const checks = report.checks
    .map(({ name, ok, reason }) => `  ${ok ? 'ok ' : 'BAD'} ${name}: ${reason}\n`)
    .join('');
  const missing = report.missing.length === 0 ? '' : `  missing: ${report.missing.join(', ')}\n`;
  return `${report.nodeName ?? 'this node'}: ${state}\n${checks}${missing}`;
}
