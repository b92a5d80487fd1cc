// What every request on the Docker sockets passes first: strict parsing, and the answers that an engine's own router
// would give. The file permission was the authentication.

import { toAgentError } from '../errors.ts';
import { type Answer, acceptBody, answer, dockerError, type Exchange } from '../exchange.ts';
import { peerPathPrefix } from '../wire.ts';
import type { Fail } from './error-response.ts';
import { admitHijack } from './hijack-body.ts';
import type { Observe } from './observe.ts';
import { cleanPath, parseTarget, type Target } from './target.ts';

export interface AdmitNeeds {
  /** Answers in the form of the engine's errors. */
  readonly fail: Fail;
  readonly observe: Observe;
}

/**
 * Hands a parsed request to `serve`, its body welcome; refuses every other one. Never throws: a failure of `serve` is
 * answered too. `check` may refuse by throwing.
 */
export function admitDocker<T>(
  { fail, observe }: AdmitNeeds,
  exchange: Exchange,
  check: (exchange: Exchange) => T,
  serve: (target: Target, checked: T, admitted: Exchange) => void,
): void {
  let target: Target;
  let checked: T;
  let admitted: Exchange;
  try {
    target = parseTarget(exchange.req.url ?? '');
    const routed = answerOfRouter(target);
    if (routed !== undefined) {
      observe(exchange, 'refused', 'short');
      answer(exchange, routed);
      return;
    }
    admitted = admitHijack(exchange);
    checked = check(exchange);
  } catch (error) {
    observe(exchange, 'refused', 'short');
    fail(exchange, toAgentError(error, 'unavailable', 'read request'));
    return;
  }
  try {
    acceptBody(admitted);
    serve(target, checked, admitted);
  } catch (error) {
    fail(exchange, toAgentError(error, 'unavailable', 'route request'));
  }
}

/** What the engine answers before it looks for a route; undefined for what it would look up. */
export function answerOfRouter({ path, version, query, canonical }: Target): Answer | undefined {
  if (!canonical) {
    const prefix = version === undefined ? '' : `/${version}`;
    const location = `${prefix}${escapePath(cleanPath(path))}${query}`;
    return { status: 301, headers: ['Location', location], body: '' };
  }
  // On a member it would act with this agent's authority (attack A-48). No engine has such a path either.
  return path.startsWith(peerPathPrefix) ? dockerError(404, 'page not found') : undefined;
}

/** A path cannot end in `?` or `#`, though a decoded one may hold them. */
function escapePath(path: string): string {
  return encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23');
}
