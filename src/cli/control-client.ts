// Asks the agent that runs on this node, over its control socket, and says what to do when nobody answers.

import { request } from 'node:http';
import { parseArgs } from 'node:util';
import { readEnvironment, variables } from '../config/env.ts';
import { AgentError, nodeCode, toAgentError } from '../errors.ts';

export interface ControlWords {
  /** The words that are no options. */
  readonly words: readonly string[];
  readonly json: boolean;
  readonly ready: boolean;
  readonly socketPath: string;
}

const requestTimeoutMs = 10_000;
/** The largest answer names every member once. */
const maxAnswerBytes = 4 * 1024 * 1024;
const socketVariable = 'FLOTILLA_CONTROL_SOCKET';

/** Throws `config-invalid` for an option that is not known. */
export function parseControlWords(argv: readonly string[]): ControlWords {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        ready: { type: 'boolean', default: false },
        'control-socket': { type: 'string' },
      },
    });
    const { json, ready } = values;
    return { words: positionals, json, ready, socketPath: values['control-socket'] ?? defaultSocketPath() };
  } catch (error) {
    throw toAgentError(error, 'config-invalid', 'read the command line');
  }
}

function defaultSocketPath(): string {
  const given = readEnvironment()[socketVariable] ?? '';
  if (given !== '') return given;
  return variables.find(({ name }) => name === socketVariable)?.default ?? '';
}

/** The answer as parsed JSON. Throws `unavailable` with advice when no agent answers. */
export async function askAgent(socketPath: string, method: 'GET' | 'POST', path: string): Promise<unknown> {
  const { status, body } = await exchange(socketPath, method, path);
  const value: unknown = JSON.parse(body);
  if (status === 200) return value;
  const reason = typeof value === 'object' && value !== null && 'error' in value ? String(value.error) : body;
  throw new AgentError('unavailable', `the agent answered ${status}: ${reason}`);
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(requestTimeoutMs);
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

function adviceFor(error: unknown, socketPath: string): AgentError {
  const code = nodeCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new AgentError(
      'unavailable',
      `no agent answers on ${socketPath}. Is it running on this node? ` +
        'Where it runs in a container: docker exec <agent container> flotilla …',
      { cause: error },
    );
  }
  if (code === 'EACCES') {
    return new AgentError('unavailable', `${socketPath} may be opened by its owner only: run this as root`, {
      cause: error,
    });
  }
  return toAgentError(error, 'unavailable', `ask the agent on ${socketPath}`);
}
