// Decides which Docker sockets there are: one for the whole cluster, and one for each live member under a file name that
// can be trusted. Pure.

import type { ClusterView, Member } from '../cluster/cluster.ts';
import { maxSocketPathBytes } from './unix-socket.ts';

export interface NodeSocket {
  /** Name within the folder of the node sockets. */
  readonly file: string;
  readonly nodeName: string;
  readonly engineId: string;
}

export interface SocketsPlan {
  readonly cluster: boolean;
  readonly nodes: readonly NodeSocket[];
  /** Members that get no socket, and why. */
  readonly without: readonly { readonly nodeName: string; readonly reason: string }[];
}

export interface PlanOptions {
  readonly where: 'all' | 'managers' | 'off';
  /** Without a cluster secret no other node takes a request from a client that signed nothing. */
  readonly hasSecret: boolean;
  /** Folder of the node sockets. */
  readonly nodesDir: string;
}

/** Each costs a file descriptor and a server. Members beyond this, in the order of names, are reached by target header. */
export const maxNodeSockets: number = 256;

export function planSockets(view: ClusterView, { where, hasSecret, nodesDir }: PlanOptions): SocketsPlan {
  const { self } = view;
  if (where === 'off' || (where === 'managers' && self.record.role !== 'manager'))
    return { cluster: false, nodes: [], without: [] };
  const members = hasSecret ? [self, ...view.members.filter((member) => !member.self)] : [self];
  const fileOf = fileNames(members, nodesDir);
  const nodes: NodeSocket[] = [];
  const without: SocketsPlan['without'][number][] = [];
  for (const member of members) {
    const { nodeName, engineId } = member.record;
    const file = fileOf(member);
    if (file === undefined) without.push({ nodeName, reason: 'neither its name nor its id can name a file' });
    else if (nodes.length < maxNodeSockets) nodes.push({ file, nodeName, engineId });
    else without.push({ nodeName, reason: `more than ${maxNodeSockets} members` });
  }
  return { cluster: true, nodes, without };
}

/** No slash, no leading dot, nothing that a shell, a URL or a log would read as something else (attack: `../x`). */
const safeName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
/** Engine ids of old engines are groups of letters with colons between. */
const safeId = /^[A-Za-z0-9][A-Za-z0-9_.:-]*$/;

/**
 * The node's name; its id where the name is unfit or not its own alone. All who share a name lose it, so that no order of
 * arrival decides whose engine stands behind a path; and an id beats a name.
 */
function fileNames(members: readonly Member[], nodesDir: string): (member: Member) => string | undefined {
  const names = countOf(members, ({ nodeName }) => nodeName);
  const ids = countOf(members, ({ nodeId }) => nodeId);
  const fits = (name: string): boolean =>
    Buffer.byteLength(`${nodesDir}/${name}${socketSuffix}`) <= maxSocketPathBytes;
  return ({ record: { nodeName, nodeId } }) => {
    const owned = names.get(nodeName) === 1 && (nodeName === nodeId || !ids.has(nodeName));
    if (owned && safeName.test(nodeName) && fits(nodeName)) return `${nodeName}${socketSuffix}`;
    if (ids.get(nodeId) === 1 && safeId.test(nodeId) && fits(nodeId)) return `${nodeId}${socketSuffix}`;
    return undefined;
  };
}

export const socketSuffix: string = '.sock';

function countOf(
  members: readonly Member[],
  key: (record: Member['record']) => string,
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { record } of members) counts.set(key(record), (counts.get(key(record)) ?? 0) + 1);
  return counts;
}
