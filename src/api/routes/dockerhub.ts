// `POST /v2/dockerhub` (agent-api.md 12): what Docker Hub says of the pull limits of the given account, or of none.
// Credentials go to the configured token server and nowhere else; they are never logged.

import type Koa from 'koa';
import type { Dispatcher } from 'undici';
import { AgentError, reasonOf } from '../../errors.ts';
import { type Answer, readBody } from '../../exchange.ts';
import type { Logger } from '../../log.ts';
import { errorAnswer } from '../error-response.ts';
import { type HubLogin, parseHubLogin, parseLimits, parseToken, type RateLimits } from './dockerhub-plan.ts';

export interface DockerHubNeeds {
  /** Directly or past a proxy, as is meant for this URL. */
  readonly dispatcherOf: (url: string) => Dispatcher;
  readonly log: Logger;
}

export interface DockerHubOptions {
  /** Origins without a slash at the end. */
  readonly authUrl: string;
  readonly registryUrl: string;
  /** For each of the two calls, milliseconds. Default 3 s. */
  readonly timeoutMs?: number;
}

export interface DockerHub {
  /** Null where the registry names no limits. Rejects with an answer's text as the message. */
  limits(login: HubLogin): Promise<RateLimits | null>;
}

const defaultTimeoutMs = 3_000;
/** Portainer sends its whole registry object, of some hundred bytes. */
const maxHubRequestBytes = 64 * 1024;
/** A token has some 4 KiB. */
const maxTokenBytes = 256 * 1024;
const image = 'ratelimitpreview/test';

export function createDockerHub(needs: DockerHubNeeds, options: DockerHubOptions): DockerHub {
  const attempt = async <T>(message: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      needs.log.warn('docker hub did not answer', { attempted: message, error: reasonOf(cause) });
      throw new AgentError('unavailable', message, { cause });
    }
  };
  return {
    async limits(login): Promise<RateLimits | null> {
      const token = await attempt('Unable to retrieve DockerHub token from DockerHub', () =>
        fetchToken(needs, options, login),
      );
      return attempt('Unable to retrieve DockerHub rate limits from DockerHub', () =>
        fetchLimits(needs, options, token),
      );
    },
  };
}

/** Here, whatever the target header says: the limits are those of the address that asks. */
export async function serveDockerHub(hub: DockerHub, context: Koa.Context): Promise<void> {
  const { status, body } = await answerOf(hub, context);
  context.status = status;
  // Not `context.type`, which adds a charset.
  context.set('Content-Type', 'application/json');
  context.body = body;
}

async function answerOf(hub: DockerHub, { req, res }: Koa.Context): Promise<Answer> {
  try {
    const sent = await readBody({ kind: 'request', req, res }, maxHubRequestBytes);
    const limits = await hub.limits(parseHubLogin(sent.toString('utf8')));
    return { status: 200, headers: [], body: JSON.stringify(limits) };
  } catch (error) {
    if (error instanceof AgentError && error.code === 'unavailable')
      return errorAnswer(500, error.message, reasonOf(error.cause));
    return errorAnswer(400, 'Invalid request payload', reasonOf(error));
  }
}

/** Some proxies refuse requests that do not say who asks. */
const clientHeaders = { 'User-Agent': 'flotilla', Accept: '*/*' };

async function fetchToken(
  needs: DockerHubNeeds,
  options: DockerHubOptions,
  login: HubLogin,
): Promise<string> {
  const basic = Buffer.from(`${login.username}:${login.password}`).toString('base64');
  const query = `service=registry.docker.io&scope=repository:${image}:pull`;
  const { body } = await ask(needs, options, {
    origin: options.authUrl,
    path: `/token?${query}`,
    method: 'GET',
    headers: { ...clientHeaders, ...(login.authentication ? { Authorization: `Basic ${basic}` } : {}) },
  });
  return parseToken(await readText(body));
}

async function fetchLimits(
  needs: DockerHubNeeds,
  options: DockerHubOptions,
  token: string,
): Promise<RateLimits | null> {
  const { headers, body } = await ask(needs, options, {
    origin: options.registryUrl,
    path: `/v2/${image}/manifests/latest`,
    method: 'HEAD',
    headers: { ...clientHeaders, Authorization: `Bearer ${token}` },
  });
  await body.dump();
  const text = (name: string): string | null => headers[name]?.toString() ?? null;
  return parseLimits(text('ratelimit-limit'), text('ratelimit-remaining'));
}

/** Follows nothing: a token server that sends us elsewhere must not take the credentials there. */
async function ask(
  { dispatcherOf }: DockerHubNeeds,
  { timeoutMs }: DockerHubOptions,
  request: Dispatcher.RequestOptions & { readonly origin: string },
): Promise<Dispatcher.ResponseData> {
  const signal = AbortSignal.timeout(timeoutMs ?? defaultTimeoutMs);
  const response = await dispatcherOf(request.origin).request({ ...request, signal });
  if (response.statusCode === 200) return response;
  await response.body.dump();
  throw new Error(`answered with status ${response.statusCode}`);
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > maxTokenBytes) throw new Error(`the answer is over ${maxTokenBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}
