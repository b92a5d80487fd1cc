// A cluster whose members answer from a function, for tests of what is made of the answers: the ask, the fan-out and the
// breakers are the real ones, only the wire is left out.

import type { ClusterView, MemberRecord, MissingMember } from '../../src/cluster/cluster.ts';
import { silentLogger } from '../../src/log.ts';
import { createBreakers } from '../../src/proxy/breakers.ts';
import { type Ask, type AskOptions, createAsk } from '../../src/proxy/endpoint/ask.ts';
import type { EndpointCall } from '../../src/proxy/endpoint/call.ts';
import type { FetchedPart, FetchLimits, ProxyRequest } from '../../src/proxy/proxy.ts';
import { createViews, memberOf, type Views } from './fake-peer.ts';

export interface Asked {
  readonly node: string;
  readonly method: string;
  readonly path: string;
  readonly rawHeaders: readonly string[];
  /** How long it was given to answer. */
  readonly firstByteMs: number;
}

/** What a node answers; throw an AgentError for one that does not. */
export type AnswerOf = (node: string, request: ProxyRequest) => FetchedPart | Promise<FetchedPart>;

export interface AnsweringCluster {
  readonly ask: Ask;
  readonly views: Views;
  readonly asked: Asked[];
  readonly call: (target: string, more?: Partial<EndpointCall>) => EndpointCall;
}

export interface AnsweringClusterOptions {
  /** The first is the node that is called. */
  readonly nodes: readonly (Partial<MemberRecord> & { readonly nodeName: string })[];
  readonly missing?: readonly MissingMember[];
  readonly members?: AskOptions['members'];
  readonly answer: AnswerOf;
}

export const answeringNowMs = 1_000_000;

export function createAnsweringCluster(options: AnsweringClusterOptions): AnsweringCluster {
  const [self, ...others] = options.nodes;
  if (self === undefined) throw new Error('a cluster has at least one node');
  const views = createViews(
    others.map((record) => memberOf(record)),
    self.nodeName,
  );
  const base = views.view();
  const own = { ...base.self, record: { ...base.self.record, ...self } };
  const view: ClusterView = {
    ...base,
    self: own,
    members: [own, ...base.members.slice(1)],
    missing: options.missing ?? [],
  };
  const asked: Asked[] = [];
  const answer = async (
    node: string,
    request: ProxyRequest,
    { firstByteMs }: FetchLimits,
  ): Promise<FetchedPart> => {
    asked.push({ node, ...request, firstByteMs });
    return options.answer(node, request);
  };
  const breakers = createBreakers({
    view: () => view,
    onViewChange: views.onViewChange,
    probe: () => Promise.reject(new Error('nobody is probed here')),
    log: silentLogger,
  });
  const ask = createAsk(
    {
      engine: (request, limits) => answer(own.record.nodeName, request, limits),
      member: ({ record }, request, limits) => answer(record.nodeName, request, limits),
      breakers,
      now: () => answeringNowMs,
    },
    { memberTimeoutMs: 500, slowMemberTimeoutMs: 1_000, members: options.members ?? 'asked' },
  );
  const call: AnsweringCluster['call'] = (target, more = {}) => {
    const [, version, rawPath = '', query = ''] = /^(?:\/(v[\d.]+))?(\/[^?]*)(\?.*)?$/.exec(target) ?? [];
    return {
      method: 'GET',
      target: { path: decodeURIComponent(rawPath), rawPath, query, version },
      params: {},
      rawHeaders: ['Host', 'docker', 'Accept-Encoding', 'gzip', 'Content-Length', '0', 'User-Agent', 'test'],
      view,
      signal: new AbortController().signal,
      strict: false,
      ...more,
    };
  };
  return { ask, views, asked, call };
}

/** An engine's answer of this status; JSON unless it is text. */
export function partOf(body: unknown, status = 200): FetchedPart {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  return { status, rawHeaders: ['Content-Type', 'application/json'], body: Buffer.from(text) };
}
