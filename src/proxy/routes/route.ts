// What the route table says of a route of the Engine API. Types only: table.ts holds the routes, match.ts finds them.

export type RouteMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

/** A list or a view that is made of every member's answer. */
export type MergeKind =
  | 'containers'
  | 'images'
  | 'volumes'
  | 'networks'
  | 'events'
  | 'df'
  | 'info'
  | 'version'
  | 'ping';

export type OwnedResource = 'container' | 'exec' | 'image' | 'volume' | 'network';

/** Where a request runs on the cluster socket when nothing names a target. */
export type Where =
  | { readonly kind: 'local' }
  /** Any healthy manager. */
  | { readonly kind: 'manager' }
  /** Every member; the answers become one. */
  | { readonly kind: 'merge'; readonly what: MergeKind }
  /** The node that has the resource named by the path parameter `param`. */
  | { readonly kind: 'owner'; readonly resource: OwnedResource; readonly param: string }
  /** The same, named by the query parameter `param`. */
  | { readonly kind: 'owner-in-query'; readonly resource: 'container'; readonly param: string }
  /** The same, named by the field `Container` of the JSON body. */
  | { readonly kind: 'owner-in-body'; readonly resource: 'container' }
  /** A node that has all images of the query's `names`. */
  | { readonly kind: 'images-in-query' }
  /** The local node, unless a label or the driver in the body says otherwise. */
  | { readonly kind: 'create'; readonly what: 'container' | 'volume' | 'network' }
  /** Every member, each for itself; the reports are added up. */
  | { readonly kind: 'prune'; readonly what: 'containers' | 'images' | 'volumes' | 'networks' | 'build' };

export type StreamClass =
  /** One request, one answer, soon. */
  | 'short'
  /** Lasts as long as somebody reads, writes or waits. */
  | 'endless'
  /** The connection becomes a raw byte pipe. */
  | 'hijack';

/** How long the wait for the head of an answer may be. It never covers a body. */
export type DeadlineClass =
  /** A lookup or a small change: milliseconds on a healthy engine. */
  | 'short'
  /** A list, which takes as long as the engine has things to list. */
  | 'list'
  /** Work on the disk: usage, prune, commit, removal. */
  | 'slow'
  /** The answer may rightly begin whenever it likes. */
  | 'none';

/** What somebody gains who may call the route; a later one is worth more to an attacker than an earlier one. */
export type Sensitivity =
  /** Nothing that names anything of the user's: what a client needs in order to talk at all. */
  | 'open'
  /** Names, states and settings that hold no secrets by design. */
  | 'read'
  /** A read in form that hands out what is inside: environment, files, logs, image layers, typed input and output. */
  | 'reveals'
  /** Changes what exists or runs, without giving more power than who made it had. */
  | 'changes'
  /** Credentials and key material: registry passwords, join tokens, unlock keys, secrets, configs. */
  | 'secrets'
  /** As good as root on the node, or on the whole swarm: mounts, privileges, plugins, code in a container or a build. */
  | 'host-root';

export interface Route {
  readonly method: RouteMethod;
  /** Without version; `{id}` takes what the engine takes there, `{name:.*}` may hold slashes. */
  readonly path: string;
  readonly where: Where;
  readonly stream: StreamClass;
  readonly deadline: DeadlineClass;
  readonly sensitivity: Sensitivity;
}

export interface RouteMatch {
  readonly route: Route;
  /** By the names in the path template, decoded. */
  readonly params: Readonly<Record<string, string>>;
}
