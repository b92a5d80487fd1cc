// Decides where a Docker request must run in Portainer's eyes (agent-api.md 8.1), and how long-lived its exchange is.
// Pure. Never reads the body, so a stream can be classified before it is accepted. A smaller view on the route table.

import { routeOf } from './routes/match.ts';
import type { MergeKind, Route } from './routes/route.ts';
import { routes } from './routes/table.ts';

/** What Portainer's contract merges; the cluster endpoint merges more. */
export type ListKind = Extract<MergeKind, 'containers' | 'images' | 'volumes' | 'networks'>;

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
const lists = mergedLists();
/** By prefix and not by route: the contract sends `/swarm/join` and paths that no engine knows to a manager as well. */
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

export type StreamClass = Route['stream'];

/** How long-lived the exchange is; `path` is decoded and without version. What no engine knows is answered soon. */
export function streamClassOf(method: string, path: string): StreamClass {
  return routeOf(method, path)?.stream ?? 'short';
}

/** The contract compares the paths that end with `/json` alone, and the method as well for the others. */
function mergedLists(): ReadonlyMap<string, { readonly list: ListKind; readonly anyMethod: boolean }> {
  const merged = routes.flatMap(({ path, where }) =>
    where.kind === 'merge' && isListKind(where.what) ? [{ path, list: where.what }] : [],
  );
  // `/networks/` is a list to engines and to the cluster endpoint, but not in the contract.
  const compared = merged.filter(({ path }) => !path.endsWith('/'));
  return new Map(compared.map(({ path, list }) => [path, { list, anyMethod: path.endsWith('/json') }]));
}

function isListKind(what: MergeKind): what is ListKind {
  return what === 'containers' || what === 'images' || what === 'volumes' || what === 'networks';
}

function ownerOf(path: string): Decision | undefined {
  const match = fullId.exec(path);
  const id = match?.[2];
  if (id === undefined) return undefined;
  return { kind: 'owner', resource: match?.[1] === 'exec' ? 'exec' : 'containers', id };
}
