// Names that appear on the wire and are needed by more than one module. Each is spelled here and nowhere else.

/** Headers of the Portainer agent contract (protocol/agent-api.md sections 4, 5 and 8). Lower case, as Node gives them. */
export const portainerHeaders = {
  publicKey: 'x-portaineragent-publickey',
  signature: 'x-portaineragent-signature',
  target: 'x-portaineragent-target',
  managerOperation: 'x-portaineragent-manageroperation',
  agent: 'Portainer-Agent',
  apiVersion: 'Portainer-Agent-API-Version',
  platform: 'Portainer-Agent-Platform',
} as const;

/** Our own response headers. */
export const flotillaHeaders = {
  version: 'Flotilla-Version',
  nodes: 'Flotilla-Nodes',
  missing: 'Flotilla-Missing',
} as const;

/** Prefix of our own request headers. Clients never steer with them: they are dropped on every listener but peers. */
export const flotillaHeaderPrefix = 'flotilla-';

/** Sent by an entry agent to a peer: decorate the items of this list with the node's name, in the named form. */
export const decorateHeader = 'flotilla-decorate';

/** Sent by a client of the cluster socket: `1` refuses answers in which the part of a node is missing. */
export const strictHeader = 'flotilla-strict';

/** Begins the paths on the peer listener that are not Docker's; no engine route begins like this. */
export const peerPathPrefix = '/_flotilla/';

export const peerPaths = {
  health: '/_flotilla/health',
  association: '/_flotilla/association',
  clock: '/_flotilla/clock',
  echo: '/_flotilla/echo',
  edgeKey: '/_flotilla/edge-key',
} as const;
