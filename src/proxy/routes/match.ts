// Finds the route of a request as the engine's router does: by method and decoded path, the first template that fits.
// A wrong method is no match, because the engine answers "page not found" to it too.

import type { Route, RouteMatch } from './route.ts';
import { routes } from './table.ts';

interface Template {
  readonly route: Route;
  /** What every path of the template ends with: the cheap test before the exact one. */
  readonly ending: string;
  /** Undefined where there is no parameter. */
  readonly pattern: RegExp | undefined;
}

/** The templates that begin with the same segment, such as `/containers/`. */
interface Family {
  readonly prefix: string;
  readonly templates: Template[];
}

interface MethodIndex {
  /** Templates without a parameter, by their path. None of them is taken by a template above it in the table. */
  readonly fixed: Map<string, Template>;
  readonly families: Family[];
}

const index = indexOf(routes);
const noParams: RouteMatch['params'] = {};

/** `path` is decoded and without version. */
export function matchRoute(method: string, path: string): RouteMatch | undefined {
  const found = find(method, path);
  if (found === undefined) return undefined;
  const groups = found.pattern?.exec(path)?.groups;
  return { route: found.route, params: groups === undefined ? noParams : { ...groups } };
}

/** The route alone: for those who ask on every request, without making anything. */
export function routeOf(method: string, path: string): Route | undefined {
  return find(method, path)?.route;
}

function find(method: string, path: string): Template | undefined {
  const ofMethod = index.get(method);
  if (ofMethod === undefined) return undefined;
  const fixed = ofMethod.fixed.get(path);
  if (fixed !== undefined) return fixed;
  const family = ofMethod.families.find(({ prefix }) => path.startsWith(prefix));
  return family?.templates.find(
    ({ ending, pattern }) => path.endsWith(ending) && pattern?.test(path) === true,
  );
}

function indexOf(table: readonly Route[]): ReadonlyMap<string, MethodIndex> {
  const made = new Map<string, MethodIndex>();
  for (const route of table) {
    const ofMethod = made.get(route.method) ?? { fixed: new Map(), families: [] };
    made.set(route.method, ofMethod);
    const template = compile(route);
    if (template.pattern === undefined) ofMethod.fixed.set(route.path, template);
    else familyOf(ofMethod, route.path).templates.push(template);
  }
  return made;
}

function familyOf({ families }: MethodIndex, path: string): Family {
  const prefix = path.slice(0, path.indexOf('/', 1) + 1);
  const known = families.find((family) => family.prefix === prefix);
  if (known !== undefined) return known;
  const made: Family = { prefix, templates: [] };
  families.push(made);
  return made;
}

/** Parameters as gorilla/mux has them: without a pattern one takes no slash; Go's dot takes all but a line feed. */
function compile(route: Route): Template {
  const { path } = route;
  if (!path.includes('{')) return { route, ending: path, pattern: undefined };
  const source = path.replaceAll(/\{(\w+)(?::\.([*+]))?\}/g, (_whole, name: string, times?: string) =>
    times === undefined ? `(?<${name}>[^/]+)` : `(?<${name}>[^\\n]${times})`,
  );
  return { route, ending: path.slice(path.lastIndexOf('}') + 1), pattern: new RegExp(`^${source}$`) };
}
