// The logger that every module is handed: an event name, then fields.
// Modules know this type only; the pino adapter lives in cli/logger.ts, with the redaction list.

export type LogFields = Readonly<Record<string, unknown>>;

/** `info` is what an operator acts on; routine traffic is `debug`. Keys and signatures never enter a field. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds `module` to each line. */
  child(module: string): Logger;
}

/** Drops everything. For tests and for tools that print their own words. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
