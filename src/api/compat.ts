// The gate of the compat listener: Portainer's contract (agent-api.md). Every request, of every kind, is parsed, routed
// to one of the agent's own routers or to Docker, and authenticated here before anything acts on it.

import type { Authenticator, Refusal, Verdict } from '../auth/auth.ts';
import { AgentError, toAgentError } from '../errors.ts';
import { type Answer, acceptBody, answer, type Exchange, hasLeft } from '../exchange.ts';
import type { Logger } from '../log.ts';
import type { DockerProxy } from '../proxy/proxy.ts';
import { peerPathPrefix, portainerHeaders } from '../wire.ts';
import { errorAnswer, type Fail, toAnswer } from './error-response.ts';
import { admitHijack } from './hijack-body.ts';
import type { Observe } from './observe.ts';
import { findOwnRoute, type OwnRoute } from './own-route.ts';
import { cleanPath, parseTarget, type Target } from './target.ts';

export interface CompatNeeds {
  readonly authenticator: Authenticator;
  readonly proxy: DockerProxy;
  /** Serves a route of ours, here or on the targeted member. */
  readonly serveOwn: (exchange: Exchange, route: FoundRoute, target: Target) => void;
  readonly fail: Fail;
  readonly observe: Observe;
  /** Undefined outside Edge mode. */
  readonly edge?: EdgeGate | undefined;
  readonly log: Logger;
}

/** What Edge mode changes at this gate, which serves plain HTTP then. */
export interface EdgeGate {
  /** Without a key nothing is served but `/key`. */
  isAssociated(): boolean;
  serveKey(exchange: Exchange): void;
  /** Whether it came through our own tunnel, and so from the server that the Edge key names. */
  isThroughTunnel(exchange: Exchange): boolean;
}

export type FoundRoute = Extract<OwnRoute, { kind: 'found' }>;

export interface CompatOptions {
  /** Flat list of the headers that every answer of this listener carries (agent-api.md 4). */
  readonly answerHeaders: readonly string[];
}

export interface CompatGate {
  handle(exchange: Exchange): void;
}

/** A request between the target's parsing and its execution. */
interface Arrival {
  readonly exchange: Exchange;
  readonly route: OwnRoute;
  readonly target: Target;
}

interface Gate extends CompatNeeds, CompatOptions {}

export function createCompatGate(needs: CompatNeeds, options: CompatOptions): CompatGate {
  const gate: Gate = { ...needs, ...options };
  return {
    handle(exchange): void {
      try {
        enter(gate, exchange);
      } catch (error) {
        gate.fail(exchange, toAgentError(error, 'unavailable', 'route request'));
      }
    },
  };
}

function enter(gate: Gate, exchange: Exchange): void {
  const { method = '', url = '' } = exchange.req;
  const target = parseTarget(url);
  const isKey = target.version === undefined && target.path.startsWith('/key');
  if (gate.edge?.isAssociated() === false && !isKey) {
    // Without the agent's headers, as there.
    answer(
      exchange,
      errorAnswer(403, 'Unable to use the unsecured agent API without Edge key', 'Edge key not set'),
    );
    return;
  }
  if (target.path === '') {
    reply(gate, exchange, { status: 200, headers: [], body: '' });
    return;
  }
  const route = findOwnRoute(method, target.path, target.version !== undefined, cleanPath);
  const arrival = { exchange, route, target };
  if (answeredByRouter(gate, arrival)) return;
  if (!target.canonical)
    throw new AgentError('request-invalid', 'parse request target: empty or dot segment');
  // Forwarded to a member, a client's request would act there with this agent's authority (attack A-48).
  if (target.path.startsWith(peerPathPrefix))
    throw new AgentError('request-invalid', 'route request: a path between agents');
  authenticate(gate, { ...arrival, exchange: admitHijack(exchange) });
}

/** What a router answers by itself, before any signature is looked at (agent-api.md 5.4). */
function answeredByRouter(gate: Gate, { exchange, route, target }: Arrival): boolean {
  switch (route.kind) {
    case 'docker':
      return false;
    case 'found':
      if (route.router !== 'ping') return false;
      serveOwn(gate, exchange, route, target);
      return true;
    case 'key':
      // Without the agent's headers, as the original's key router has none.
      if (gate.edge !== undefined) gate.edge.serveKey(exchange);
      else answer(exchange, errorAnswer(503, 'Edge key management is disabled on non Edge agent'));
      return true;
    case 'moved':
      reply(gate, exchange, {
        status: 301,
        headers: ['Location', `${encodeURI(route.path)}${target.query}`],
        body: '',
      });
      return true;
    case 'unknown':
      reply(gate, exchange, notFoundPage);
      return true;
    case 'wrong-method':
      reply(gate, exchange, { status: 405, headers: [], body: '' });
      return true;
  }
}

const notFoundPage: Answer = {
  status: 404,
  headers: ['Content-Type', 'text/plain; charset=utf-8', 'X-Content-Type-Options', 'nosniff'],
  body: '404 page not found\n',
};

/** Goes on in the same tick when the signature is known: the hot path takes no detour through a promise. */
function authenticate(gate: Gate, arrival: Arrival): void {
  const { headers } = arrival.exchange.req;
  const verdict = gate.authenticator.authenticate({
    publicKey: single(headers[portainerHeaders.publicKey]),
    signature: single(headers[portainerHeaders.signature]),
    mayAssociate: gate.edge?.isThroughTunnel(arrival.exchange) ?? true,
  });
  if (verdict instanceof Promise) void authenticateLater(gate, arrival, verdict);
  else admit(gate, arrival, verdict);
}

async function authenticateLater(gate: Gate, arrival: Arrival, pending: Promise<Verdict>): Promise<void> {
  try {
    admit(gate, arrival, await pending);
  } catch (error) {
    gate.fail(arrival.exchange, toAgentError(error, 'unavailable', 'verify signature'));
  }
}

function admit(gate: Gate, { exchange, route, target }: Arrival, verdict: Verdict): void {
  if (hasLeft(exchange)) return;
  if (verdict.kind === 'refused') {
    refuse(gate, exchange, verdict);
    return;
  }
  acceptBody(exchange);
  if (route.kind === 'found') gate.serveOwn(exchange, route, target);
  else gate.proxy.steer({ exchange, target, answerHeaders: gate.answerHeaders });
}

function serveOwn(gate: Gate, exchange: Exchange, route: FoundRoute, target: Target): void {
  gate.observe(exchange, 'own', 'short');
  gate.serveOwn(exchange, route, target);
}

function refuse(gate: Gate, exchange: Exchange, { code, details, reason }: Refusal): void {
  const hint = reason === 'other-key' ? { hint: '`flotilla keys forget` releases the associated key' } : {};
  gate.observe(exchange, 'refused', 'short');
  gate.log.warn('signature refused', { reason, remote: exchange.req.socket.remoteAddress, ...hint });
  reply(gate, exchange, toAnswer(new AgentError(code, details)));
}

function reply(gate: Gate, exchange: Exchange, shaped: Answer): void {
  answer(exchange, { ...shaped, headers: [...gate.answerHeaders, ...shaped.headers] });
}

/** Node joins duplicates of these with a comma, which no key or signature contains: two values verify as none. */
function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
