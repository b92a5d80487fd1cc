// `/key` of the compat listener in Edge mode: plain HTTP and no signature, as in the original. In a cluster with a secret
// it is closed both ways: members exchange the key over mutual TLS, and everybody else is a stranger. So is whoever comes
// through the tunnel, whose port is open on all addresses of the server.

import type { EdgeKeys } from '../../edge/edge.ts';
import { AgentError } from '../../errors.ts';
import { type Answer, answer, type Exchange, readBody } from '../../exchange.ts';
import type { Logger } from '../../log.ts';
import { errorAnswer } from '../error-response.ts';

export interface EdgeKeyRouteNeeds {
  readonly keys: EdgeKeys;
  /** The key as text, with the environment id that Portainer told meanwhile. */
  readonly encode: () => string;
  /** Undefined: go on. Else: too many attempts, milliseconds until the next. */
  readonly takeAttempt: (address: string) => number | undefined;
  readonly isThroughTunnel: (exchange: Exchange) => boolean;
  readonly log: Logger;
}

export interface EdgeKeyRouteOptions {
  readonly hasSecret: boolean;
}

const maxKeyBodyBytes = 8192;

export function createEdgeKeyRoute(
  needs: EdgeKeyRouteNeeds,
  options: EdgeKeyRouteOptions,
): (exchange: Exchange) => void {
  return (exchange) => {
    reply(exchange, needs, options)
      .then((shaped) => answer(exchange, shaped))
      // The client left within its request; there is nobody to be told.
      .catch((error: unknown) => needs.log.debug('key request ended', { error: String(error) }));
  };
}

function reply(
  exchange: Exchange,
  needs: EdgeKeyRouteNeeds,
  { hasSecret }: EdgeKeyRouteOptions,
): Promise<Answer> | Promise<never> {
  const { method = '', url = '' } = exchange.req;
  const path = url.split('?')[0];
  if (path !== '/key' || exchange.kind === 'upgrade')
    return Promise.resolve({
      status: 404,
      headers: ['Content-Type', 'text/plain'],
      body: '404 page not found\n',
    });
  if (hasSecret)
    return Promise.resolve(errorAnswer(403, 'The Edge key is shared with members of the cluster only'));
  if (needs.isThroughTunnel(exchange))
    return Promise.resolve(errorAnswer(403, 'The Edge key is not to be had through the tunnel'));
  if (method === 'GET') return Promise.resolve(read(needs));
  if (method === 'POST') return write(exchange, needs);
  return Promise.resolve({ status: 405, headers: [], body: '' });
}

function read({ keys, encode }: EdgeKeyRouteNeeds): Answer {
  if (keys.current() === undefined) return errorAnswer(404, 'No key associated to this agent');
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store'];
  return { status: 200, headers, body: JSON.stringify({ key: encode() }) };
}

async function write(exchange: Exchange, needs: EdgeKeyRouteNeeds): Promise<Answer> {
  if (needs.keys.current() !== undefined)
    return errorAnswer(409, 'An Edge key is already associated to this agent');
  const waitMs = needs.takeAttempt(exchange.req.socket.remoteAddress ?? '');
  if (waitMs !== undefined) return errorAnswer(429, 'Too many attempts to associate an Edge key');
  const text = parseKeyBody((await readBody(exchange, maxKeyBodyBytes)).toString('utf8'));
  if (text === undefined) return errorAnswer(400, 'Invalid request payload');
  try {
    await needs.keys.associate(text, 'api');
    return { status: 204, headers: [], body: '' };
  } catch (error) {
    needs.log.warn('edge key not associated', { reason: error instanceof Error ? error.message : 'unknown' });
    const isOther = error instanceof AgentError && error.code === 'limit-exceeded';
    return isOther
      ? errorAnswer(409, 'An Edge key is already associated to this agent')
      : errorAnswer(500, 'Unable to associate Edge key');
  }
}

/** `{"Key":"…"}`, its name in any case, as Go reads it. Undefined: something else, or empty. */
function parseKeyBody(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null) return undefined;
    const [, text] = Object.entries(value).find(([name]) => name.toLowerCase() === 'key') ?? [];
    return typeof text === 'string' && text !== '' ? text : undefined;
  } catch {
    return undefined;
  }
}
