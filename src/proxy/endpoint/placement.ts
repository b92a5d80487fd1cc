// Reads from the body of a request where it belongs: what is created, by its label or its driver, and a container that is
// connected to a network, by its name. Pure. Keys are matched as Go's decoder does; what is no JSON belongs nowhere.

/** Names the node at which something is created, and tells in lists where it is. */
export const nodeLabel = 'flotilla.node';

export type Placement =
  /** Where it came in. */
  | { readonly kind: 'here' }
  | { readonly kind: 'node'; readonly nodeName: string }
  /** It belongs to the Swarm. */
  | { readonly kind: 'manager' };

const here: Placement = { kind: 'here' };
const manager: Placement = { kind: 'manager' };

/** `POST /containers/create`, `/volumes/create` and `/networks/create`. */
export function placementOf(what: 'container' | 'volume' | 'network', body: Buffer): Placement {
  const fields = objectIn(body);
  if (what === 'network' && isSwarmNetwork(fields)) return manager;
  if (what === 'volume' && isObject(fieldOf(fields, 'ClusterVolumeSpec'))) return manager;
  const nodeName = labelsOf(fields)[nodeLabel];
  return typeof nodeName === 'string' && nodeName !== '' ? { kind: 'node', nodeName } : here;
}

/** The container of `POST /networks/{id}/connect` and `/disconnect`; undefined when the body names none. */
export function containerOf(body: Buffer): string | undefined {
  const name = fieldOf(objectIn(body), 'Container');
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/** The same body for another container. Only our own spelling of the field is left in it. */
export function withContainer(body: Buffer, name: string): Buffer {
  const others = Object.entries(objectIn(body)).filter(([key]) => !/^Container$/iu.test(key));
  return Buffer.from(JSON.stringify({ ...Object.fromEntries(others), Container: name }));
}

function isSwarmNetwork(fields: JsonObject): boolean {
  const text = (key: string): string => String(fieldOf(fields, key) ?? '');
  return text('Scope') === 'swarm' || text('Driver') === 'overlay' || fieldOf(fields, 'Ingress') === true;
}

/** Go decodes each occurrence into the same map, so that they add up. */
function labelsOf(fields: JsonObject): JsonObject {
  return Object.assign({}, ...fieldsOf(fields, 'Labels').filter(isObject));
}

type JsonObject = Readonly<Record<string, unknown>>;

function objectIn(body: Buffer): JsonObject {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isObject(value) ? value : {};
  } catch {
    // The engine says what is wrong with it.
    return {};
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The last one that Go's decoder would take for this field (engine-api.md 1.6). */
function fieldOf(fields: JsonObject, name: string): unknown {
  return fieldsOf(fields, name).at(-1);
}

function fieldsOf(fields: JsonObject, name: string): readonly unknown[] {
  // `u` and `i` together fold case as Go does, the long s and the Kelvin sign included.
  const pattern = new RegExp(`^${name}$`, 'iu');
  return Object.entries(fields)
    .filter(([key]) => pattern.test(key))
    .map(([, value]) => value);
}
