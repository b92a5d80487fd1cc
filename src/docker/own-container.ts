// Decides which container the agent itself runs in, and which addresses it and its sibling tasks have. Pure.
// A wrong container would be worse than none, so a host name is trusted only when it looks like a container id.

import type { OwnContainer } from './docker.ts';

export interface RawContainer {
  readonly Id?: string;
  readonly Config?: { readonly Labels?: Readonly<Record<string, string>> | null };
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, RawEndpoint>> | null };
}

export interface RawEndpoint {
  readonly NetworkID?: string;
  readonly IPAddress?: string;
  readonly GlobalIPv6Address?: string;
}

export interface RawNetwork {
  readonly Scope?: string;
  readonly Ingress?: boolean;
}

export interface RawTask {
  readonly Status?: { readonly State?: string };
  readonly NetworksAttachments?: readonly RawAttachment[] | null;
}

export interface RawAttachment {
  readonly Network?: { readonly Spec?: { readonly Ingress?: boolean } };
  /** With prefix length: `10.0.1.7/24`. */
  readonly Addresses?: readonly string[] | null;
}

export interface OwnNetwork {
  readonly name: string;
  readonly endpoint: RawEndpoint;
  readonly network: RawNetwork;
}

const serviceNameLabel = 'com.docker.swarm.service.name';
/** Files that the engine binds from the container's own folder, whose name is the container's id. */
const boundFiles = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];

/** Ids to look the own container up by, most trusted first. Texts of files that could not be read are empty. */
export function ownContainerIds(hostName: string, mountinfo: string, cgroup: string): readonly string[] {
  const ids = [
    ...(/^[0-9a-f]{12,64}$/.test(hostName) ? [hostName] : []),
    ...idsFromMountinfo(mountinfo),
    ...idsFromCgroup(cgroup),
  ];
  return [...new Set(ids)];
}

/**
 * Fields of a line: mount id, parent, device, root (the path within the source), mount point, … (proc(5)).
 * Only the bound files count: with the host's `/` mounted, the folders of other containers appear here too.
 */
function idsFromMountinfo(mountinfo: string): readonly string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , , mountPoint = '']) => boundFiles.includes(mountPoint))
    .map(([, , , root = '']) => /([0-9a-f]{64})(?:\/userdata)?\/[^/]+$/.exec(root)?.[1])
    .filter((id) => id !== undefined);
}

/** `12:pids:/docker/<id>`, `0::/system.slice/docker-<id>.scope`; with a cgroup namespace of its own only `0::/`. */
function idsFromCgroup(cgroup: string): readonly string[] {
  return [...cgroup.matchAll(/^\d+:[^:]*:.*?([0-9a-f]{64})(?:\.scope)?$/gm)]
    .map((match) => match[1])
    .filter((id) => id !== undefined);
}

/** Swarm-scoped networks first, then by name: the original takes one at random. The ingress network is left out. */
export function toOwnContainer(
  id: string,
  container: RawContainer,
  networks: readonly OwnNetwork[],
): OwnContainer {
  const addresses = networks
    .filter(({ network }) => network.Ingress !== true)
    .map(({ name, endpoint, network }) => ({
      network: name,
      address: addressOf(endpoint),
      scope: network.Scope ?? 'local',
    }))
    .filter(({ address }) => address !== '')
    .toSorted((a, b) => scopeRank(a.scope) - scopeRank(b.scope) || (a.network < b.network ? -1 : 1));
  return {
    id: container.Id ?? id,
    serviceName: container.Config?.Labels?.[serviceNameLabel],
    addresses,
  };
}

/**
 * Addresses of tasks that run or start, without the ingress network's, each once. A task with a health check is
 * `starting`, and not yet in the service's DNS name, until its first check: this is how agents meet before that.
 */
export function toTaskAddresses(tasks: readonly RawTask[]): readonly string[] {
  const addresses = tasks
    .filter((task) => task.Status?.State === 'running' || task.Status?.State === 'starting')
    .flatMap((task) => task.NetworksAttachments ?? [])
    .filter((attachment) => attachment.Network?.Spec?.Ingress !== true)
    .flatMap((attachment) => attachment.Addresses ?? [])
    .map((address) => address.replace(/\/\d+$/, ''));
  return [...new Set(addresses)];
}

function addressOf({ IPAddress = '', GlobalIPv6Address = '' }: RawEndpoint): string {
  return IPAddress !== '' ? IPAddress : GlobalIPv6Address;
}

function scopeRank(scope: string): number {
  return scope === 'swarm' ? 0 : 1;
}
