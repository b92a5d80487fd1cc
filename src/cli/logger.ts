// The logger of the running agent: pino on stderr, as JSON lines or in colours for people.
// Writes synchronously and without a worker thread: the last line before a crash is there, and idle memory stays low.

import type { DestinationStream, Logger as PinoLogger } from 'pino';
import pino from 'pino';
import type { LogConfig } from '../config/config.ts';
import type { LogFields, Logger } from '../log.ts';
import { redactFields, safeText } from './redact.ts';

const stderrDescriptor = 2;

/** `destination` stands in for stderr in tests. */
export async function createLogger(config: LogConfig, destination?: DestinationStream): Promise<Logger> {
  const target = destination ?? pino.destination({ dest: stderrDescriptor, sync: true });
  const stream = config.mode === 'JSON' ? target : await prettyStream(config, target);
  const options = {
    level: config.level.toLowerCase(),
    // Process id and host name are the container's, which the log collector knows better.
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return toLogger(pino(options, stream));
}

/** Loaded only where it is used: it would cost every agent that logs JSON some megabytes. */
async function prettyStream({ mode }: LogConfig, target: DestinationStream): Promise<DestinationStream> {
  const { prettyFactory } = await import('pino-pretty');
  const format = prettyFactory({
    colorize: mode === 'PRETTY',
    singleLine: true,
    translateTime: 'SYS:standard',
  });
  return { write: (line) => target.write(format(line)) };
}

function toLogger(target: PinoLogger): Logger {
  const write = (level: 'debug' | 'info' | 'warn' | 'error') => (event: string, fields?: LogFields) => {
    // Below the level nothing is cleaned either: debug lines of the hot path cost a comparison.
    if (target.isLevelEnabled(level))
      target[level](fields === undefined ? {} : redactFields(fields), safeText(event));
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (module) => toLogger(target.child({ module })),
  };
}
