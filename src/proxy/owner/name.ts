// Reads a name as a client gives it: whether anything can be called so, where an engine is asked for it, and whether it
// names a node in front. Pure.

import type { ClusterView } from '../../cluster/cluster.ts';
import type { OwnedResource } from '../routes/route.ts';

/** Longer than any image reference. A name may come from a body, so that no listener has bounded it. */
export const maxNameBytes: number = 4_096;

/** The name as engines compare it: they take `/web` for the container `web`, but not everything that routes to them does. */
export function bareName(resource: OwnedResource, name: string): string {
  return resource === 'container' && name.startsWith('/') ? name.slice(1) : name;
}

// Names from a query or a body went through no gate: what would end up as another path is the name of nothing.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is refused here
const forbidden = /[\u0000-\u001f\u007f\\]/;

export function isAskable(name: string): boolean {
  if (!name.isWellFormed() || forbidden.test(name) || Buffer.byteLength(name) > maxNameBytes) return false;
  return name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** The inspect route for an askable name, version prefix included. Slashes stay: peers refuse them when encoded. */
export function inspectPath(
  resource: OwnedResource,
  name: string,
  version: string | undefined,
  scope: string | undefined,
): string {
  const encoded = name.split('/').map(encodeURIComponent).join('/');
  const [before, behind] = inspectRoutes[resource];
  const query = resource === 'network' && scope !== undefined ? `?scope=${encodeURIComponent(scope)}` : '';
  return `${version === undefined ? '' : `/v${version}`}${before}${encoded}${behind}${query}`;
}

const inspectRoutes: Readonly<Record<OwnedResource, readonly [string, string]>> = {
  container: ['/containers/', '/json'],
  exec: ['/exec/', '/json'],
  image: ['/images/', '/json'],
  volume: ['/volumes/', ''],
  network: ['/networks/', ''],
};

const fullId = /^[0-9a-f]{64}$/;

/** Random and never reused, so that whoever has it is the only one. Ids of images and networks occur on several nodes. */
export function isUniqueId(resource: OwnedResource, name: string): boolean {
  return (resource === 'container' || resource === 'exec') && fullId.test(name);
}

export interface NodeAndName {
  readonly node: string;
  readonly name: string;
}

/** `node/name`, where the first part is the name of a node that is or was here. */
export function splitNode(name: string, view: ClusterView): NodeAndName | undefined {
  const slash = name.indexOf('/');
  if (slash <= 0 || slash === name.length - 1) return undefined;
  const node = name.slice(0, slash);
  const isNode =
    view.members.some(({ record }) => record.nodeName === node) ||
    view.missing.some(({ nodeName }) => nodeName === node);
  return isNode ? { node, name: name.slice(slash + 1) } : undefined;
}
