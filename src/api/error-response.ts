// The one place where an error code becomes a status and a body. Portainer matches some of these texts (agent-api.md 14),
// so they are exact; of a failure inside us a client learns the code, never a stack or a path.

import { type AgentError, nodeCode } from '../errors.ts';
import { type Answer, answer, dockerError, type Exchange } from '../exchange.ts';
import type { Logger } from '../log.ts';

const json: readonly string[] = ['Content-Type', 'application/json'];

/** Answers an exchange with an error of ours, and logs why, once. */
export type Fail = (exchange: Exchange, error: AgentError) => void;

/** `answerHeaders` is what the listener adds to each of its answers; `shape` is the form of its errors. */
export function createFail(
  log: Logger,
  answerHeaders: readonly string[],
  shape: (error: AgentError) => Answer = toAnswer,
): Fail {
  return (exchange, error) => {
    const shaped = shape(error);
    const { method, url } = exchange.req;
    const fields = { reason: error.code, method, url, status: shaped.status, error: error.message };
    if (shaped.status >= 500) log.warn('request failed', fields);
    else log.debug('request refused', fields);
    answer(exchange, { ...shaped, headers: [...answerHeaders, ...shaped.headers] });
  };
}

/** An error body of agent-api.md 7: `details` repeats the message when there is no cause to name. */
export function errorAnswer(status: number, message: string, details: string = message): Answer {
  return { status, headers: json, body: JSON.stringify({ message, details: capitalised(details) }) };
}

/** The answer of the compat listener to one of our errors. */
export function toAnswer(error: AgentError): Answer {
  switch (error.code) {
    case 'signature-missing':
      return errorAnswer(403, 'Missing request signature headers', 'Unauthorized');
    case 'signature-invalid':
      return errorAnswer(403, 'Invalid request signature', error.message);
    case 'request-invalid':
      return errorAnswer(400, 'Invalid request', error.message);
    case 'member-unknown':
      return errorAnswer(
        500,
        'The agent was unable to contact any other agent',
        'Unable to find the targeted agent',
      );
    case 'no-manager':
      return errorAnswer(
        500,
        'The agent was unable to contact any other agent located on a manager node',
        'Unable to find an agent on any manager node',
      );
    case 'engine-unreachable':
      return errorAnswer(500, 'Unable to proxy the request via the Docker socket', engineDetails(error));
    case 'member-unreachable':
    case 'member-untrusted':
    case 'timeout':
    case 'protocol-violation':
      // Empty, as the original has it (agent-api.md 8.3).
      return { status: 502, headers: [], body: '' };
    case 'limit-exceeded':
    case 'unavailable':
    case 'cancelled':
    case 'config-invalid':
      return errorAnswer(503, 'The agent cannot serve this request now', error.code);
  }
}

/** On the Docker sockets: the form of the engine's own errors, which clients show as "Error response from daemon: …". */
export function toDockerAnswer(error: AgentError): Answer {
  return dockerError(dockerStatusOf(error), `flotilla: ${dockerMessageOf(error)}`);
}

/** Never 404: clients read that as "there is no such container", which is not known when a node cannot be asked. */
function dockerStatusOf({ code }: AgentError): number {
  switch (code) {
    case 'request-invalid':
      return 400;
    case 'signature-missing':
    case 'signature-invalid':
      return 403;
    case 'protocol-violation':
      return 502;
    case 'timeout':
      return 504;
    case 'member-unknown':
    case 'no-manager':
    case 'engine-unreachable':
    case 'member-unreachable':
    case 'member-untrusted':
    case 'limit-exceeded':
    case 'unavailable':
    case 'cancelled':
    case 'config-invalid':
      return 503;
  }
}

/** Its reader may use every engine of the cluster, so the reason is no secret; but what failed inside us says nothing. */
function dockerMessageOf(error: AgentError): string {
  if (error.code === 'unavailable' && error.cause !== undefined) return 'cannot serve this request now';
  return error.message;
}

function engineDetails(error: AgentError): string {
  const code = nodeCode(error.cause);
  return code === undefined ? 'no answer from the engine' : `no answer from the engine (${code})`;
}

function capitalised(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
