// Connects to the tunnel server: directly or through a proxy, and in TLS where asked.
// A socket that it could not hand over is closed.

import type { Duplex } from 'node:stream';
import { AgentError, toAgentError } from '../../errors.ts';
import { connectBy, routeText, startTls } from '../proxy.ts';
import type { TunnelAddress } from './address.ts';

export interface DialOptions {
  /** `http://`, `https://`, `socks://` or `socks5h://`, perhaps with user and password. Undefined: none. */
  readonly proxy: string | undefined;
  /** With the name's resolution. Shorter than it takes to give up: the next attempt may find another path. */
  readonly timeoutMs: number;
}

export async function dialServer(
  address: TunnelAddress,
  { proxy, timeoutMs }: DialOptions,
  signal: AbortSignal,
): Promise<Duplex> {
  const via = proxy === undefined ? undefined : new URL(proxy);
  const attempted = `dial tunnel server ${routeText(address, via)}`;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const socket = await connectBy(via, address, limited);
    return address.tls ? await startTls(socket, address.host, limited) : socket;
  } catch (error) {
    if (limited.aborted && !signal.aborted)
      throw new AgentError('timeout', `${attempted}: no answer in ${timeoutMs} ms`, { cause: error });
    throw toAgentError(error, 'unavailable', attempted);
  }
}
