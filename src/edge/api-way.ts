// The tunnel's own way to the agent's API: connections through the listener and its gate, so that what comes through the
// tunnel is checked as everything else, and the answer to which of the listener's connections these are.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface ApiWay {
  /** Rejects while nothing listens there. */
  dial(): Promise<Socket>;
  /** Whether a connection that the API's listener has accepted is one of ours. */
  isOurs(accepted: Pick<Socket, 'remoteAddress' | 'remotePort'>): boolean;
}

/** `apiAt` says where the API listens now. */
export function createApiWay(apiAt: () => { readonly address: string; readonly port: number }): ApiWay {
  // As the listener sees them. Bounded by the tunnel's channels, each of which has one.
  const open = new Set<string>();
  return {
    async dial(): Promise<Socket> {
      const { address, port } = apiAt();
      const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
      await once(socket, 'connect');
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
