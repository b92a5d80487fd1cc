// Finds which of the agent's own routers serves a path, and what that router answers by itself (agent-api.md 6).
// Pure. Everything else is Docker's.

export type OwnRouter =
  | 'ping'
  | 'agents'
  | 'host'
  | 'browse'
  | 'browse-v1'
  | 'websocket'
  | 'dockerhub'
  | 'kubernetes';

export type OwnRoute =
  | { readonly kind: 'docker' }
  /** `/key` before version stripping: Edge only, without the agent's headers. */
  | { readonly kind: 'key' }
  | { readonly kind: 'found'; readonly router: OwnRouter; readonly route: string; readonly path: string }
  /** The three below are a router's own answers, given before any signature is looked at. */
  | { readonly kind: 'moved'; readonly router: OwnRouter; readonly path: string }
  | { readonly kind: 'unknown'; readonly router: OwnRouter }
  | { readonly kind: 'wrong-method'; readonly router: OwnRouter };

const docker: OwnRoute = { kind: 'docker' };

/** First match: prefix, router, and how many characters of the prefix are removed. */
const prefixes: readonly (readonly [string, OwnRouter, number])[] = [
  ['/v1/agents', 'agents', 3],
  ['/v1/host', 'host', 3],
  ['/v1/websocket', 'websocket', 3],
  ['/v1/browse', 'browse-v1', 3],
  ['/v2/ping', 'ping', 3],
  ['/v2/agents', 'agents', 3],
  ['/v2/host', 'host', 3],
  ['/v2/browse', 'browse', 3],
  ['/v2/websocket', 'websocket', 3],
  ['/v2/dockerhub', 'dockerhub', 3],
  ['/ping', 'ping', 0],
  ['/agents', 'agents', 0],
  ['/host', 'host', 0],
  ['/browse', 'browse', 0],
  ['/websocket', 'websocket', 0],
  ['/kubernetes', 'kubernetes', 0],
];

const routes: Readonly<Record<OwnRouter, readonly (readonly [string, RegExp])[]>> = {
  ping: [['GET', /^\/ping$/]],
  agents: [['GET', /^\/agents$/]],
  host: [['GET', /^\/host\/info$/]],
  browse: [
    ['GET', /^\/browse\/(?:ls|get)$/],
    ['DELETE', /^\/browse\/delete$/],
    ['PUT', /^\/browse\/rename$/],
    ['POST', /^\/browse\/put$/],
  ],
  'browse-v1': [
    ['GET', /^\/browse\/[^/]+\/(?:ls|get)$/],
    ['DELETE', /^\/browse\/[^/]+\/delete$/],
    ['PUT', /^\/browse\/[^/]+\/rename$/],
    ['POST', /^\/browse\/[^/]+\/put$/],
  ],
  websocket: [['GET', /^\/websocket\/(?:exec|attach)$/]],
  dockerhub: [['POST', /^\/dockerhub$/]],
  kubernetes: [],
};

/** `path` is decoded and without its version; `versioned` says that one was removed. */
export function findOwnRoute(
  method: string,
  path: string,
  versioned: boolean,
  clean: (path: string) => string,
): OwnRoute {
  if (!versioned && path.startsWith('/key')) return { kind: 'key' };
  const match = prefixes.find(([prefix]) => path.startsWith(prefix));
  if (match === undefined) return docker;
  const [, router, removed] = match;
  const routed = path.slice(removed);
  const cleaned = clean(routed);
  if (cleaned !== routed) return { kind: 'moved', router, path: cleaned };
  const known = routes[router].filter(([, pattern]) => pattern.test(routed));
  if (known.length === 0) return { kind: 'unknown', router };
  if (!known.some(([verb]) => verb === method)) return { kind: 'wrong-method', router };
  return { kind: 'found', router, route: `${method} ${routed}`, path: routed };
}
