// Asks the agent that runs on this node, over its control socket, and says what to do when nobody answers.

import { request } from 'node:http';
import { AgentError, nodeCode, toAgentError } from '../errors.ts';

const defaultTimeoutMs = 10_000;
/** The largest answer names every member once. */
const maxAnswerBytes = 4 * 1024 * 1024;

/** The answer as parsed JSON. Throws `unavailable` with advice when no agent answers. */
export async function askAgent(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  timeoutMs: number = defaultTimeoutMs,
): Promise<unknown> {
  const { status, body } = await exchange(socketPath, method, path, timeoutMs);
  const value: unknown = JSON.parse(body);
  if (status === 200) return value;
  const reason = typeof value === 'object' && value !== null && 'error' in value ? String(value.error) : body;
  throw new AgentError('unavailable', `the agent answered ${status}: ${reason}`);
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const outgoing = request({ socketPath, method, path, signal, agent: false }, (res) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      res.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength;
        if (bytes > maxAnswerBytes) outgoing.destroy(new Error(`answer larger than ${maxAnswerBytes} bytes`));
        else chunks.push(chunk);
      });
      res.on('error', (error) => reject(adviceFor(error, socketPath)));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    outgoing.on('error', (error) => reject(adviceFor(error, socketPath)));
    outgoing.end();
  });
}

/** What to do when there is no agent to ask. */
function noAgentText(socketPath: string): string {
  return `no agent answers on ${socketPath}
  - is it running on this node? flotilla doctor looks at what it can without it
  - where it runs in a container: docker exec <agent container> flotilla …
  - where its socket is elsewhere: --control-socket <path>, or FLOTILLA_CONTROL_SOCKET`;
}

function adviceFor(error: unknown, socketPath: string): AgentError {
  const code = nodeCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new AgentError('unavailable', noAgentText(socketPath), { cause: error });
  }
  if (code === 'EACCES') {
    return new AgentError('unavailable', `${socketPath} may be opened by its owner only: run this as root`, {
      cause: error,
    });
  }
  return toAgentError(error, 'unavailable', `ask the agent on ${socketPath}`);
}
