// A chisel server for agents in Edge mode, and the poll answers of a Portainer that wants a tunnel to it.

import { generateKeyPairSync } from 'node:crypto';
import { testEdgeId } from './edge-agents.ts';
import { type ChiselServer, startChiselServer } from './edge-server/chisel-server.ts';
import { encryptCredentials } from './edge-server/credentials.ts';
import type { EdgeServer } from './edge-server/edge-server.ts';

const { privateKey: hostKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** On loopback; all that are started have the same host key. */
export function startChisel(port?: number): Promise<ChiselServer> {
  const hostKeyPem = hostKey.export({ format: 'pem', type: 'sec1' }).toString();
  return startChiselServer({ hostKeyPem, ...(port !== undefined && { port }) });
}

/** What an Edge key says of it. */
export function tunnelOf({ port, fingerprint }: ChiselServer): {
  tunnelAddress: string;
  fingerprint: string;
} {
  return { tunnelAddress: `127.0.0.1:${port}`, fingerprint };
}

/** As the server does: new credentials for a port, told by the next poll. */
export function requireTunnel(server: EdgeServer, chisel: ChiselServer, port: number): void {
  chisel.allow('user', 'password', port);
  const credentials = encryptCredentials(testEdgeId, 'user', 'password');
  server.say({ status: 'REQUIRED', port, credentials, checkin: 1 });
}
