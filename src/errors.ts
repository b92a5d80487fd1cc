// The one error class of the product and its closed set of codes.
// A code says what kind of thing failed; only api/error-response.ts turns it into an HTTP status.

export type ErrorCode =
  | 'cancelled'
  | 'config-invalid'
  | 'engine-unreachable'
  | 'limit-exceeded'
  | 'member-unknown'
  | 'member-unreachable'
  | 'member-untrusted'
  | 'no-manager'
  | 'protocol-violation'
  | 'request-invalid'
  | 'signature-invalid'
  | 'signature-missing'
  | 'timeout'
  | 'unavailable';

/** Thrown for every failure that we name ourselves. The message is lower case and says what was attempted, on what. */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The `code` of a Node system error or library error (`ECONNREFUSED`, `UND_ERR_SOCKET` …), if it has one. */
export function nodeCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Turns anything thrown by Node or a library into ours, keeping it as the cause. Ours pass unchanged. */
export function toAgentError(error: unknown, code: ErrorCode, attempted: string): AgentError {
  if (error instanceof AgentError) return error;
  return new AgentError(code, `${attempted}: ${reasonOf(error)}`, { cause: error });
}

/** A short text for a thrown value, safe to log: the message, or the code where the message is empty. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(reasonOf).join('; ');
  }
  return error.message !== '' ? error.message : (nodeCode(error) ?? error.name);
}
