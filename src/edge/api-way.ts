// The tunnel's own way to the agent's API: connections through the listener and its gate, so that what comes through the
// tunnel is checked as everything else, and the answer to which of the listener's connections these are.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { toAgentError } from '../errors.ts';

export interface ApiWay {
  /** Rejects while nothing listens there, or when that address is no longer one of this host. */
  dial(): Promise<Socket>;
  /** Whether a connection that the API's listener has accepted is one of ours. */
  isOurs(accepted: Pick<Socket, 'remoteAddress' | 'remotePort'>): boolean;
}

/** It is on this host: long before, either it has answered or nobody will. */
const dialTimeoutMs = 2_000;

/** `apiAt` says where the API listens now. */
export function createApiWay(apiAt: () => { readonly address: string; readonly port: number }): ApiWay {
  // As the listener sees them. Bounded by the tunnel's channels, each of which has one.
  const open = new Set<string>();
  return {
    async dial(): Promise<Socket> {
      const { address, port } = apiAt();
      const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
      try {
        await once(socket, 'connect', { signal: AbortSignal.timeout(dialTimeoutMs) });
      } catch (error) {
        socket.destroy();
        throw toAgentError(error, 'unavailable', `dial the agent's own API at ${address}:${port}`);
      }
      const name = nameOf(socket.localAddress, socket.localPort);
      // No other connection to the listener has this name as long as this one is there.
      open.add(name);
      socket.once('close', () => open.delete(name));
      return socket;
    },
    isOurs: ({ remoteAddress, remotePort }) => open.has(nameOf(remoteAddress, remotePort)),
  };
}

function nameOf(address: string | undefined, port: number | undefined): string {
  return `${address} ${port}`;
}
