// Reads the tunnel address of an Edge key: which transport, to where. Pure.

import { AgentError } from '../../errors.ts';

export interface TunnelAddress {
  /** `chisel` is SSH in a websocket (Portainer), `ssh` a plain SSH server. */
  readonly transport: 'chisel' | 'ssh';
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Websocket in TLS; SSH needs none. */
  readonly tls: boolean;
}

const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443, 'ssh:': 22 };

/** `host:port` is chisel without TLS. Throws `config-invalid`. */
export function parseTunnelAddress(text: string): TunnelAddress {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  const defaultPort = defaultPorts[url?.protocol ?? ''];
  if (url === null || defaultPort === undefined || url.hostname === '')
    throw new AgentError(
      'config-invalid',
      `read tunnel address ${JSON.stringify(text.slice(0, 100))}: no host and port`,
    );
  return {
    transport: url.protocol === 'ssh:' ? 'ssh' : 'chisel',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? defaultPort : Number(url.port),
    tls: url.protocol === 'https:',
  };
}

/** As it stands in a URL, and in the target of chisel. */
export function toHostPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
