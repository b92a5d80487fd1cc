// Names, addresses and folders of a lab, all derived from its number. Pure.
// Numbers are claimed by making a folder, so that labs on one machine never share a name or a subnet.

import { join } from 'node:path';

/** 198.18.0.0/15 is reserved for benchmarks (RFC 2544): no network of Docker or of the machine lies there. */
const subnetPrefix = '198.18';
/** One subnet per lab: 198.18.0.0/24 to 198.18.255.0/24. */
export const maxLabs = 256;
/** Node 1 has .11; .254 is the switch and .1 the machine. */
export const maxNodes = 200;
const firstNodeHost = 11;

/** Labs live on a real disk: overlay2 wants one, and a temporary folder may be memory. */
export const labsDir = '/var/lib/flotilla-lab';

export interface LabPlan {
  readonly number: number;
  readonly dir: string;
  readonly stateFile: string;
  /** The network namespace that all links end in; it forwards between them. */
  readonly switchNamespace: string;
  readonly subnet: string;
  /** The switch's address on every link: the gateway of the nodes and of the machine. */
  readonly gateway: string;
  /** The machine's own address on the lab's network. */
  readonly hostAddress: string;
  readonly hostLink: string;
  /** Below every cgroup controller's root. */
  readonly cgroup: string;
  readonly nodes: readonly NodePlan[];
}

export interface NodePlan {
  readonly index: number;
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  /** The node's link as the switch sees it. Inside the node it is `eth0`. */
  readonly port: string;
  readonly dir: string;
  readonly cgroup: string;
}

export function planLab(number: number, nodeCount: number): LabPlan {
  if (!Number.isInteger(nodeCount) || nodeCount < 1 || nodeCount > maxNodes) {
    throw new RangeError(`a lab has 1 to ${maxNodes} nodes, not ${nodeCount}`);
  }
  const id = `flotilla-lab-${number}`;
  const dir = join(labsDir, String(number));
  return {
    number,
    dir,
    stateFile: join(dir, 'lab.json'),
    switchNamespace: `${id}-switch`,
    subnet: `${subnetPrefix}.${number}.0/24`,
    gateway: `${subnetPrefix}.${number}.254`,
    hostAddress: `${subnetPrefix}.${number}.1`,
    hostLink: `fl-lab${number}`,
    cgroup: id,
    nodes: Array.from({ length: nodeCount }, (_, at) => planNode(id, number, dir, at + 1)),
  };
}

function planNode(id: string, number: number, dir: string, index: number): NodePlan {
  const name = `node-${index}`;
  return {
    index,
    name,
    namespace: `${id}-${name}`,
    address: `${subnetPrefix}.${number}.${firstNodeHost + index - 1}`,
    port: `port${index}`,
    dir: join(dir, name),
    cgroup: `${id}/${name}`,
  };
}

/** What a link does to packets, each direction on its own. */
export interface LinkState {
  readonly port: string;
  readonly cut: boolean;
  readonly lossPercent: number;
}

export interface NetworkOptions {
  /**
   * Nodes reach this machine in the name of the switch, and nothing comes in from here but answers: what a router at home
   * does. Among themselves they are as before.
   */
  readonly behindNat?: boolean;
}

/**
 * The switch's filter table for `iptables-restore`. Packets are dropped while being forwarded: there no sender is told,
 * whereas a drop in the sender's own output chain returns EPERM to it.
 */
export function toFilterTable(
  links: readonly LinkState[],
  { behindNat = false }: NetworkOptions = {},
): string {
  const rules = links.flatMap(({ port, cut, lossPercent }) => {
    if (cut) return [`-A FORWARD -i ${port} -j DROP`, `-A FORWARD -o ${port} -j DROP`];
    if (lossPercent <= 0) return [];
    const chance = `-m statistic --mode random --probability ${(lossPercent / 100).toFixed(6)} -j DROP`;
    return [`-A FORWARD -i ${port} ${chance}`, `-A FORWARD -o ${port} ${chance}`];
  });
  const policies = [':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]'];
  if (behindNat)
    rules.push('-A FORWARD -i host -m conntrack --ctstate NEW -j REJECT --reject-with icmp-host-unreachable');
  return `${['*filter', ...policies, ...rules, 'COMMIT'].join('\n')}\n`;
}
