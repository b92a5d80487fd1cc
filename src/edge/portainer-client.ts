// Carries requests to Portainer's API: proxies, TLS with client certificates that may change, redirects, time and size.
// The Edge ID goes with each of them, so that none leaves the host of the Edge key.

import { readFile, stat } from 'node:fs/promises';
import { Agent, type Dispatcher } from 'undici';
import { AgentError, toAgentError } from '../errors.ts';
import type { PortainerAnswer, PortainerRequest } from './edge.ts';
import { createProxyDispatcher, type Proxies } from './proxy-dispatcher.ts';
import { nextUrl } from './redirect.ts';
import { trustSystem } from './system-trust.ts';

export interface PortainerClientOptions {
  /** Of the key: scheme, host, perhaps a path; no trailing slash. */
  readonly baseUrl: string;
  readonly edgeId: string;
  /** No verification of the server, and then no client certificate either. */
  readonly insecure: boolean;
  readonly mtls: MtlsFiles | undefined;
  readonly proxies: Proxies;
}

/** Undefined: none. */
export interface MtlsFiles {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
}

export interface PortainerClient {
  /** Rejects with `unavailable`, `timeout`, `limit-exceeded`, or the signal's reason as `cancelled`. */
  send(request: PortainerRequest, signal: AbortSignal): Promise<PortainerAnswer>;
  /** Cuts what is in progress; resolves when no socket is left. */
  close(): Promise<void>;
}

const defaultTimeoutMs = 30_000;
/** An answer is lists and files of stacks; logs go the other way. */
const maxAnswerBytes = 4 * 1024 * 1024;
/** As the original; a chain this long is a loop. */
const maxRedirects = 5;
/** A connection serves the next poll too: longer than its usual intervals. */
const idleMs = 90_000;
const edgeIdHeader = 'X-PortainerAgent-EdgeID';

export function createPortainerClient(options: PortainerClientOptions): PortainerClient {
  const dispatchers = createDispatchers(options);
  return {
    async send(request, signal): Promise<PortainerAnswer> {
      const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
      const attempted = `${request.method} ${options.baseUrl}${request.path}`;
      const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
      try {
        return await follow(await dispatchers.current(), options, request, limited);
      } catch (error) {
        if (signal.aborted) throw new AgentError('cancelled', `${attempted}: given up`, { cause: error });
        if (limited.aborted)
          throw new AgentError('timeout', `${attempted}: no answer in ${timeoutMs} ms`, { cause: error });
        throw toAgentError(error, 'unavailable', attempted);
      }
    },
    close: dispatchers.close,
  };
}

async function follow(
  dispatcher: Dispatcher,
  { baseUrl, edgeId }: PortainerClientOptions,
  request: PortainerRequest,
  signal: AbortSignal,
): Promise<PortainerAnswer> {
  const { method, json } = request;
  let url = new URL(`${baseUrl}${request.path}`);
  const headers: Record<string, string> = { ...request.headers, [edgeIdHeader]: edgeId };
  if (json !== undefined) headers['Content-Type'] = 'application/json';
  for (let redirects = 0; ; redirects += 1) {
    const body = json === undefined ? null : JSON.stringify(json);
    const { origin, pathname, search } = new URL(url);
    const path = `${pathname}${search}`;
    const response = await dispatcher.request({ origin, path, method, headers, body, signal });
    const answer = await readAnswer(response, request.maxAnswerBytes ?? maxAnswerBytes);
    const next = nextUrl(url, answer, method);
    if (next === undefined || redirects >= maxRedirects) return answer;
    url = next;
  }
}

async function readAnswer(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  maxBytes: number,
): Promise<PortainerAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new AgentError('limit-exceeded', `read portainer's answer: over ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  const flat = Object.entries(headers).map(([name, value]) => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(', ') : String(value),
  ]);
  return {
    status: statusCode,
    headers: Object.fromEntries(flat) as Record<string, string>,
    body: Buffer.concat(chunks).toString('utf8'),
  };
}

interface Dispatchers {
  current(): Promise<Dispatcher>;
  close(): Promise<void>;
}

/** A new one when a certificate file changed; what is in progress ends on the old one. */
function createDispatchers(options: PortainerClientOptions): Dispatchers {
  let made: { readonly dispatcher: Dispatcher; readonly version: string } | undefined;
  const retired = new Set<Dispatcher>();
  return {
    async current(): Promise<Dispatcher> {
      const version = await versionOf(options);
      if (made?.version === version) return made.dispatcher;
      const dispatcher = await createDispatcher(options);
      if (made !== undefined) {
        const old = made.dispatcher;
        retired.add(old);
        void old
          .close()
          .catch(() => undefined) // It was destroyed at the stop, before it had closed by itself.
          .finally(() => retired.delete(old));
      }
      made = { dispatcher, version };
      return dispatcher;
    },
    async close(): Promise<void> {
      const all = [...retired, ...(made === undefined ? [] : [made.dispatcher])];
      made = undefined;
      await Promise.all(all.map((each) => each.destroy()));
    },
  };
}

function certificateFiles({ insecure, mtls }: PortainerClientOptions): readonly string[] {
  if (insecure || mtls === undefined) return [];
  return [mtls.cert, mtls.key, mtls.ca].filter((file) => file !== undefined);
}

async function versionOf(options: PortainerClientOptions): Promise<string> {
  const stats = await Promise.all(certificateFiles(options).map((file) => stat(file)));
  return stats.map(({ mtimeMs, size }) => `${mtimeMs}:${size}`).join(' ');
}

async function createDispatcher(options: PortainerClientOptions): Promise<Dispatcher> {
  const { baseUrl, insecure, mtls, proxies } = options;
  if (!insecure && mtls?.ca === undefined) trustSystem();
  const read = async (file: string | undefined): Promise<string | undefined> =>
    insecure || file === undefined ? undefined : readFile(file, 'utf8');
  const [cert, key, ca] = await Promise.all([read(mtls?.cert), read(mtls?.key), read(mtls?.ca)]);
  const tls = {
    minVersion: 'TLSv1.2' as const,
    rejectUnauthorized: !insecure,
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(ca === undefined ? {} : { ca }),
  };
  const proxy = baseUrl.startsWith('https:') ? proxies.https : proxies.http;
  if (proxy !== undefined) return createProxyDispatcher(proxies, tls, idleMs);
  return new Agent({ connect: tls, keepAliveTimeout: idleMs });
}
