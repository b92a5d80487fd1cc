// Hands a request for one of the agent's own routes to another member, whole, by http-proxy-3. What reaches the member
// speaks with this agent's authority, so it is exactly one request: how it is framed is decided here, never by the client.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Agent } from 'node:https';
import { Readable } from 'node:stream';
import { createProxyServer } from 'http-proxy-3';
import type { Member } from '../cluster/cluster.ts';
import { type AgentError, toAgentError } from '../errors.ts';
import type { Exchange } from '../exchange.ts';

export interface RelayNeeds {
  /** An HTTPS agent whose connections are pinned to that member. */
  readonly peerAgent: (member: Member) => Agent;
  /** Of a flat list of name and value, what travels on to another agent: no credentials, no steering, nothing of one hop. */
  readonly travelling: (rawHeaders: readonly string[]) => readonly string[];
  /** Answers with an error in the compat listener's shape. */
  readonly fail: (exchange: Exchange, error: AgentError) => void;
}

export interface RelayOptions {
  /** Flat list that the compat listener adds to every answer. */
  readonly answerHeaders: readonly string[];
}

/** `path` is where the route is on the member's peer listener, query included. */
export type Relay = (exchange: Exchange & { kind: 'request' }, member: Member, path: string) => void;

/** A member that falls silent within an answer of ours: reading its devices takes a moment, not half a minute. */
const relaySilenceMs = 30_000;
/** A disk may take minutes to write out the gigabytes of an upload, and nothing is sent meanwhile. */
const browseSilenceMs = 600_000;
/** No other own route has a body. */
const methodsWithBody: ReadonlySet<string | undefined> = new Set(['POST', 'PUT']);
const bodyHeaders: readonly string[] = ['content-length', 'transfer-encoding'];

export function createRelay(needs: RelayNeeds, options: RelayOptions): Relay {
  const proxy = createProxyServer({ xfwd: false, changeOrigin: true, ignorePath: false });
  proxy.on('proxyRes', (from, _req, res) => {
    // Whether the client's connection is kept is between the client and us.
    from.headers.connection = res.shouldKeepAlive ? 'keep-alive' : 'close';
    // A part must not look whole, nor wait for the rest for ever.
    from.once('close', () => {
      if (!from.complete) res.destroy();
    });
  });
  return ({ req, res }, member, path) => {
    const { answerHeaders } = options;
    for (let i = 0; i + 1 < answerHeaders.length; i += 2)
      res.setHeader(answerHeaders[i] ?? '', answerHeaders[i + 1] ?? '');
    const hasBody = methodsWithBody.has(req.method);
    // Nobody's, and not to stand in the way of the client's next request.
    if (!hasBody) req.resume();
    req.url = path;
    // The proxy takes them from here. Its own hook for changes comes when a bodyless request is on its way already.
    req.headers = relayedHeaders(req, hasBody, needs);
    const { address, peerPort, nodeName } = member.record;
    const host = address.includes(':') ? `[${address}]` : address;
    proxy.web(
      req,
      res,
      {
        target: `https://${host}:${peerPort}`,
        agent: needs.peerAgent(member),
        proxyTimeout: path.includes('/browse/') ? browseSilenceMs : relaySilenceMs,
        ...(!hasBody && { buffer: Readable.from([]) }),
      },
      (error: unknown) => {
        needs.fail(
          { kind: 'request', req, res },
          toAgentError(error, 'member-unreachable', `reach the agent of ${nodeName}`),
        );
      },
    );
  };
}

/** Of these the ones that travel; a body's length only where there is a body. */
function relayedHeaders(
  { headers, rawHeaders }: IncomingMessage,
  hasBody: boolean,
  { travelling }: Pick<RelayNeeds, 'travelling'>,
): IncomingHttpHeaders {
  const kept = travelling(rawHeaders);
  const names = new Set(kept.filter((_text, at) => at % 2 === 0).map((name) => name.toLowerCase()));
  const passes = (name: string): boolean => (bodyHeaders.includes(name) ? hasBody : names.has(name));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => passes(name)));
}
