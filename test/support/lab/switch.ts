// The lab's network: one namespace that forwards between a link to each node and one link to this machine.
// Links are cut and made lossy here, between the nodes, so that neither end can notice it but by silence.

import { type CommandOptions, runCommand } from './command.ts';
import { type LabPlan, type LinkState, type NetworkOptions, type NodePlan, toFilterTable } from './plan.ts';

export interface Switch {
  /** Connects the node's namespace, which must exist. */
  connectNode(node: NodePlan): Promise<void>;
  setLink(node: NodePlan, change: Partial<Pick<LinkState, 'cut' | 'lossPercent'>>): Promise<void>;
}

/** Makes the switch and the namespaces of all nodes, and gives this machine an address on the lab's network. */
export async function createSwitch(plan: LabPlan, options: NetworkOptions = {}): Promise<Switch> {
  for (const namespace of [plan.switchNamespace, ...plan.nodes.map((node) => node.namespace)]) {
    await runCommand(['ip', 'netns', 'add', namespace]);
  }
  await ipBatch(plan.switchNamespace, ['link set lo up']);
  await inNamespace(plan.switchNamespace, ['sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward']);
  await connectHost(plan);
  if (options.behindNat === true) {
    const masquerade = ['POSTROUTING', '-o', 'host', '-j', 'MASQUERADE'];
    await inNamespace(plan.switchNamespace, ['iptables', '-w', '5', '-t', 'nat', '-A', ...masquerade]);
    await setLinks(plan, [], options);
  }
  const links = new Map<string, LinkState>();
  return {
    connectNode: (node) => connectNode(plan, node),
    setLink: async (node, change) => {
      const before = links.get(node.port) ?? { port: node.port, cut: false, lossPercent: 0 };
      links.set(node.port, { ...before, ...change });
      await setLinks(plan, [...links.values()], options);
    },
  };
}

/** Replaces what happens on all links at once. */
export async function setLinks(
  plan: LabPlan,
  links: readonly LinkState[],
  options: NetworkOptions = {},
): Promise<void> {
  const input = toFilterTable(links, options);
  await inNamespace(plan.switchNamespace, ['iptables-restore', '-w', '5'], { input });
}

async function inNamespace(
  namespace: string,
  argv: readonly string[],
  options?: CommandOptions,
): Promise<string> {
  return (await runCommand(['nsenter', `--net=/run/netns/${namespace}`, ...argv], options)).stdout;
}

async function connectHost(plan: LabPlan): Promise<void> {
  const { hostLink, switchNamespace, gateway, hostAddress, subnet } = plan;
  await ipBatch(undefined, [`link add ${hostLink} type veth peer name host netns ${switchNamespace}`]);
  await ipBatch(switchNamespace, switchEnd('host', gateway, hostAddress));
  await ipBatch(undefined, [
    `addr add ${hostAddress}/32 dev ${hostLink}`,
    `link set ${hostLink} up`,
    `route add ${subnet} via ${gateway} dev ${hostLink} src ${hostAddress} onlink`,
  ]);
}

async function connectNode({ switchNamespace, gateway }: LabPlan, node: NodePlan): Promise<void> {
  await ipBatch(switchNamespace, [
    `link add ${node.port} type veth peer name eth0 netns ${node.namespace}`,
    ...switchEnd(node.port, gateway, node.address),
  ]);
  // The default route ends in the switch, which knows no other network: nothing leaves the lab, and is told so at once.
  await ipBatch(node.namespace, [
    'link set lo up',
    `addr add ${node.address}/32 dev eth0`,
    'link set eth0 up',
    `route add default via ${gateway} dev eth0 onlink`,
  ]);
}

function switchEnd(port: string, gateway: string, farAddress: string): readonly string[] {
  return [
    `addr add ${gateway}/32 dev ${port}`,
    `link set ${port} up`,
    `route add ${farAddress}/32 dev ${port}`,
  ];
}

async function ipBatch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const inside = namespace === undefined ? [] : ['-netns', namespace];
  await runCommand(['ip', ...inside, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
