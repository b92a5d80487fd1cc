// A logger that keeps what is said, for tests of what an operator gets to read.

import type { LogFields, Logger } from '../../src/log.ts';

export interface RecordedLine {
  readonly event: string;
  readonly fields: LogFields;
}

export interface RecordedLog {
  readonly log: Logger;
  readonly infos: readonly RecordedLine[];
  readonly warnings: readonly RecordedLine[];
}

export function recordLog(): RecordedLog {
  const infos: RecordedLine[] = [];
  const warnings: RecordedLine[] = [];
  const into =
    (lines: RecordedLine[]) =>
    (event: string, fields: LogFields = {}): void =>
      void lines.push({ event, fields });
  const log: Logger = {
    debug: () => undefined,
    info: into(infos),
    warn: into(warnings),
    error: into(warnings),
    child: () => log,
  };
  return { log, infos, warnings };
}
