// The two kinds of tunnel server as one form: a chisel server of our own, and Debian's OpenSSH.

import assert from 'node:assert/strict';
import {
  type ChiselServer,
  type ChiselServerOptions,
  startChiselServer,
} from './edge-server/chisel-server.ts';
import { freePort } from './free-port.ts';
import { type OpenSsh, startOpenSsh } from './openssh.ts';
import type { TunnelServer } from './tunnel-bed.ts';
import { tunnelVectors } from './tunnel-vectors.ts';

export interface ChiselTunnelServer extends TunnelServer {
  /** The one that runs now. */
  readonly chisel: () => ChiselServer;
}

const user = 'user1234';
const password = 'pass5678';

export async function startChiselTunnelServer(
  host: string = '127.0.0.1',
  options: Pick<ChiselServerOptions, 'halfCloses'> = {},
): Promise<ChiselTunnelServer> {
  const hostKeyPem = tunnelVectors.chisel.hostKey.privateKeySec1Pem;
  // It is listened at again after a stop.
  const port = await freePort(host);
  let chisel = await startChiselServer({ ...options, hostKeyPem, host, port });
  const { fingerprint } = chisel;
  let allowed = 0;
  const allow = (wanted: number): void => {
    allowed = wanted;
    chisel.allow(user, password, wanted);
  };
  return {
    port,
    scheme: '',
    fingerprint,
    user,
    password,
    allow,
    chisel: () => chisel,
    logins: () => chisel.logins(),
    stop: () => chisel.stop(),
    async start(): Promise<void> {
      chisel = await startChiselServer({ ...options, hostKeyPem, host, port });
      allow(allowed);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await chisel.stop();
      assert.deepEqual(chisel.faults, [], 'the server met what a client never sends');
    },
  };
}

export async function startSshTunnelServer(
  keyType: keyof OpenSsh['fingerprints'] = 'ed25519',
  config: readonly string[] = [],
): Promise<TunnelServer> {
  const server = await startOpenSsh(config);
  return {
    port: server.port,
    scheme: 'ssh://',
    fingerprint: server.fingerprints[keyType],
    user: server.user,
    password: server.password,
    // OpenSSH lets every user forward.
    allow: () => undefined,
    logins: () => [...server.log().matchAll(/^(?:Accepted|Failed) password /gm)].length,
    stop: server.stop,
    start: server.start,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
