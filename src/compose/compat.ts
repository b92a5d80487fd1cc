// Builds the life of the compat listener: TLS on the configured address, or in Edge mode plain HTTP on the
// advertised one where that is our own.

import { createCompatService } from '../api/compat-service.ts';
import type { Listener } from '../api/server.ts';
import { compatTls } from '../api/tls.ts';
import { createServerCertificate } from '../auth/identity.ts';
import type { Startable } from '../lifecycle.ts';
import { edgeApiHost, edgeListenHost } from './edge.ts';
import { type Ground, isClustered } from './ground.ts';

export interface Compat {
  readonly service: Startable;
  /** The cluster has found the address that others reach us at, and the one to listen on. */
  onAdvertise(address: string, host: string): Promise<void>;
}

/** `onListening` is told where it listens; the configuration may have left the port open. */
export type OnListening = (at: { readonly address: string; readonly port: number }) => void;

export function buildCompat(ground: Ground, listener: Listener, onListening: OnListening): Compat {
  return ground.config.edge === undefined
    ? buildTlsCompat(ground, listener, onListening)
    : buildEdgeCompat(ground, listener, onListening);
}

function buildTlsCompat(
  { config, association, log }: Ground,
  listener: Listener,
  onListening: OnListening,
): Compat {
  return {
    service: createCompatService(
      {
        listener,
        tls: async () =>
          compatTls(await createServerCertificate([config.cluster.advertiseAddr ?? config.api.host])),
        needsAssociation: config.auth.secret === undefined,
        isAssociated: () => association.current().key !== undefined,
        onListening,
        log,
      },
      { ...config.api, ...config.auth },
    ),
    async onAdvertise(address): Promise<void> {
      listener.renewCertificate(compatTls(await createServerCertificate([address])));
    },
  };
}

/** No certificate and no 72 h rule: requests come through the tunnel, whose SSH keeps them secret. */
function buildEdgeCompat(ground: Ground, listener: Listener, onListening: OnListening): Compat {
  let bound: { readonly host: string; readonly port: number } | undefined;
  const listenOn = async (host: string): Promise<void> => {
    if (bound?.host === host) return;
    const at = await listener.listen(host, bound?.port ?? ground.config.api.port, undefined);
    bound = { host, port: at.port };
    onListening(at);
    ground.log.info('listening', { listener: 'compat', address: at.address, port: at.port });
  };
  return {
    service: {
      name: 'compat',
      async start(signal): Promise<void> {
        // In a cluster its address is known once the cluster has found it.
        if (!isClustered(ground)) await listenOn(await edgeApiHost(ground, signal));
      },
      stop: () => listener.drain(AbortSignal.abort()),
    },
    onAdvertise: (_address, host) => listenOn(edgeListenHost(host)),
  };
}
