// What `X-PortainerAgent-Target` asks for on the cluster socket. Pure.

import type { ClusterView, Member } from '../../cluster/cluster.ts';
import { type Answer, dockerError } from '../../exchange.ts';

export type TargetNode =
  | { readonly kind: 'none' }
  /** `*`: all nodes, said in so many words. */
  | { readonly kind: 'all' }
  | { readonly kind: 'member'; readonly member: Member }
  | { readonly kind: 'answer'; readonly answer: Answer };

/** `value` is the header's, empty when there is none. */
export function targetNodeOf(value: string, view: ClusterView): TargetNode {
  if (value === '') return { kind: 'none' };
  return value === '*' ? { kind: 'all' } : memberNamed(value, view);
}

/** The member of that node name, or what to tell a client that wants it. */
export function memberNamed(
  name: string,
  view: ClusterView,
): Extract<TargetNode, { kind: 'member' | 'answer' }> {
  const [member, ...more] = view.members.filter(({ record }) => record.nodeName === name);
  if (member !== undefined && more.length === 0) return { kind: 'member', member };
  if (member !== undefined) {
    const message = `flotilla: several nodes are called ${quoted(name)}: use their own sockets`;
    return { kind: 'answer', answer: dockerError(409, message) };
  }
  if (view.missing.some(({ nodeName }) => nodeName === name)) {
    return { kind: 'answer', answer: dockerError(503, `flotilla: node ${quoted(name)} does not answer`) };
  }
  const known = view.members.slice(0, maxNamesShown).map(({ record }) => record.nodeName);
  const rest = view.members.length > maxNamesShown ? ' …' : '';
  const message = `flotilla: no node is called ${quoted(name)}: there are ${known.join(', ')}${rest}`;
  // Not 404: clients take that for their container or image, which `run` then pulls and `rm -f` takes for removed.
  return { kind: 'answer', answer: dockerError(400, message) };
}

/** In an error; a message is read by people. */
const maxNamesShown = 20;
const maxNameShown = 100;

function quoted(name: string): string {
  return JSON.stringify(name.length > maxNameShown ? `${name.slice(0, maxNameShown)}…` : name);
}
