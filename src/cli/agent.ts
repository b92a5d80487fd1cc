// `flotilla agent`: reads the configuration, ties the process's signals to the agent's life, and runs it.
// The first SIGTERM or SIGINT asks it to drain and leave; the second ends the process at once.

import { readFileSync, statSync } from 'node:fs';
import { readEnvironment } from '../config/env.ts';
import { parseConfig, unknownVariables } from '../config/parse.ts';
import { AgentError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { agentVersion } from '../version.ts';
import { agentHelpText } from './help.ts';
import { createLogger } from './logger.ts';

/** A secret is short: a device or a log named by mistake is refused instead of read. */
const maxSecretFileBytes = 65_536;
/** What is still open this long after the agent has ended is cut. */
const exitGraceMs = 1_000;

export async function runAgentCommand(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(agentHelpText());
    return 0;
  }
  const environment = readEnvironment();
  const config = parseConfig(environment, argv, readSecretFile);
  const log = await createLogger(config.log);
  // Loaded last: a fault of the configuration is told at once.
  const { runAgent } = await import('../main.ts');
  const unknown = unknownVariables(environment);
  if (unknown.length > 0) log.warn('unknown variables: a typing mistake?', { names: unknown });
  crashOnStrayErrors(log);

  const stopping = stopOnSignals(log);
  log.info('starting', { version: agentVersion, node: process.version });
  try {
    await runAgent(config, log, stopping);
    log.info('stopped');
    return endSoon(0);
  } catch (error) {
    if (stopping.aborted && isCancelled(error)) return endSoon(0);
    log.error('agent failed', { error });
    return endSoon(1);
  }
}

function stopOnSignals(log: Logger): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) {
        log.warn('ending at once', { signal });
        process.exit(1);
      }
      log.info('stopping', { signal });
      controller.abort(new AgentError('cancelled', `stop the agent: ${signal}`));
    });
  }
  return controller.signal;
}

/** State is unknown after one of these, so the process ends; what restarts it finds the reason in the log. */
function crashOnStrayErrors(log: Logger): void {
  process.on('uncaughtException', (error, origin) => {
    log.error('crashed', { error, origin, stack: error instanceof Error ? error.stack : undefined });
    process.exit(1);
  });
}

function isCancelled(error: unknown): boolean {
  if (error instanceof AgentError) return error.code === 'cancelled';
  return error instanceof Error && error.name === 'AbortError';
}

function endSoon(code: number): number {
  setTimeout(() => process.exit(code), exitGraceMs).unref();
  return code;
}

function readSecretFile(path: string): string {
  const stats = statSync(path);
  if (!stats.isFile()) throw new Error('not a file');
  if (stats.size > maxSecretFileBytes) throw new Error(`larger than ${maxSecretFileBytes} bytes`);
  return readFileSync(path, 'utf8');
}
