// Decides where a Docker request must run in Portainer's eyes (agent-api.md 8.1), and how long-lived its exchange is.
// Pure. Never reads the body, so a stream can be classified before it is accepted.

export type ListKind = 'containers' | 'images' | 'volumes' | 'networks';

export type Decision =
  | { readonly kind: 'local' }
  /** The member of that name; it may be unknown. */
  | { readonly kind: 'node'; readonly nodeName: string }
  | { readonly kind: 'manager' }
  | { readonly kind: 'cluster'; readonly list: ListKind }
  /** Here, unless a full id in the path belongs to another member (design.md, compat listener). */
  | { readonly kind: 'owner'; readonly resource: 'containers' | 'exec'; readonly id: string };

export interface Steering {
  /** `X-PortainerAgent-Target`, empty when absent. */
  readonly target: string;
  /** `X-PortainerAgent-ManagerOperation`, empty when absent; any other value counts. */
  readonly managerOperation: string;
}

const local: Decision = { kind: 'local' };
const manager: Decision = { kind: 'manager' };
const lists = new Map<string, { readonly list: ListKind; readonly anyMethod: boolean }>([
  ['/containers/json', { list: 'containers', anyMethod: true }],
  ['/images/json', { list: 'images', anyMethod: true }],
  ['/volumes', { list: 'volumes', anyMethod: false }],
  ['/networks', { list: 'networks', anyMethod: false }],
]);
const managerPaths = ['/services', '/tasks', '/secrets', '/configs', '/swarm', '/info', '/nodes'];
const fullId = /^\/(containers|exec)\/([0-9a-f]{64})(?=\/|$)/;

/**
 * Portainer's decision table, first match. `path` is decoded and without version; `ownName` is this node's.
 * Only for clustered agents: a lone one runs everything here.
 */
export function decide(method: string, path: string, steering: Steering, ownName: string): Decision {
  if (steering.managerOperation !== '') return manager;
  const { target } = steering;
  const list = lists.get(path);
  if (list !== undefined && (list.anyMethod || method === 'GET')) {
    return target === ownName ? local : { kind: 'cluster', list: list.list };
  }
  if (managerPaths.some((prefix) => path.startsWith(prefix))) return manager;
  if (target === ownName) return local;
  if (target !== '') return { kind: 'node', nodeName: target };
  return ownerOf(path) ?? local;
}

/** Which merged list this path is; undefined for everything else. */
export function listKindOf(path: string): ListKind | undefined {
  return lists.get(path)?.list;
}

function ownerOf(path: string): Decision | undefined {
  const match = fullId.exec(path);
  const id = match?.[2];
  if (id === undefined) return undefined;
  return { kind: 'owner', resource: match?.[1] === 'exec' ? 'exec' : 'containers', id };
}

export type StreamClass =
  /** One request, one answer, soon. */
  | 'short'
  /** Lasts as long as somebody reads, writes or waits. */
  | 'endless'
  /** The connection becomes a raw byte pipe. */
  | 'hijack';

const endlessPaths: readonly (readonly [string, RegExp])[] = [
  ['GET', /^\/events$/],
  ['GET', /^\/(?:containers|services|tasks)\/[^/]+\/(?:logs|stats|export|archive)$/],
  ['PUT', /^\/containers\/[^/]+\/archive$/],
  ['POST', /^\/containers\/[^/]+\/(?:wait|stop|restart)$/],
  ['GET', /^\/images\/(?:get|.+\/get)$/],
  ['POST', /^\/images\/(?:create|load|.+\/push)$/],
  ['POST', /^\/(?:build|commit)$/],
  ['POST', /^\/plugins\/(?:pull|create|.+\/(?:push|upgrade))$/],
];

const hijackPaths: readonly (readonly [string, RegExp])[] = [
  ['POST', /^\/containers\/.+\/attach$/],
  ['GET', /^\/containers\/.+\/attach\/ws$/],
  ['POST', /^\/exec\/[^/]+\/start$/],
  ['POST', /^\/(?:session|grpc)$/],
];

/** How long-lived the exchange is; `path` is decoded and without version. */
export function streamClassOf(method: string, path: string): StreamClass {
  const matches = ([verb, pattern]: readonly [string, RegExp]): boolean =>
    verb === method && pattern.test(path);
  if (hijackPaths.some(matches)) return 'hijack';
  return endlessPaths.some(matches) ? 'endless' : 'short';
}
