// Requests to Portainer past the proxies of the environment. undici decides which requests pass one (NO_PROXY), and asks an
// HTTP proxy itself for what is not TLS; all that is tunnelled goes the way that Edge tunnels go, SOCKS included.

import { isIP } from 'node:net';
import { type buildConnector, Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import { toAgentError } from '../errors.ts';
import { connectBy, routeText } from './proxy.ts';

/** Undefined: none. */
export interface Proxies {
  readonly http: string | undefined;
  readonly https: string | undefined;
  /** Hosts that are reached directly, separated by commas. */
  readonly except: string | undefined;
}

/** With the name's resolution and the proxy's. A poll has at least as much. */
const connectTimeoutMs = 10_000;

/** `tls` is for Portainer; a proxy in TLS is verified as any other host. Connections are kept unused for `idleMs`. */
export function createProxyDispatcher(
  proxies: Proxies,
  tls: buildConnector.BuildOptions,
  idleMs: number,
): Dispatcher {
  return new EnvHttpProxyAgent({
    connect: tls,
    // Not as a plain setting, which undici forgets for an HTTP proxy that it asks itself.
    factory: (origin, options) => new Pool(origin, { keepAliveTimeout: idleMs, ...options }),
    // Empty texts, because undefined would mean this process's environment.
    httpProxy: asTunnelled(proxies.http),
    httpsProxy: asTunnelled(proxies.https),
    noProxy: proxies.except ?? '',
    requestTls: tls,
    clientFactory: (proxy) => new ProxyClient(proxy),
    proxyTunnel: isTunnelOnly(proxies.http),
  });
}

/** undici has a SOCKS client of its own for the other names, which warns of itself on the terminal. */
function asTunnelled(proxy: string | undefined): string {
  return proxy?.replace(/^socks5?:/, 'socks5h:') ?? '';
}

/** Whether even requests without TLS are tunnelled: SOCKS has nothing else, and undici names IP addresses in TLS. */
function isTunnelOnly(proxy: string | undefined): boolean {
  const { protocol, hostname } = new URL(proxy ?? 'http://none');
  return protocol !== 'http:' && (protocol !== 'https:' || isIP(hostname.replace(/^\[|\]$/g, '')) !== 0);
}

/** What undici takes for its client of the proxy, and asks for connections through it. */
class ProxyClient extends Dispatcher {
  readonly #proxy: URL;
  readonly #closing = new AbortController();

  constructor(proxy: URL) {
    super();
    this.#proxy = proxy;
  }

  override async connect<TOpaque>({
    path,
    opaque,
  }: Dispatcher.ConnectOptions<TOpaque>): Promise<Dispatcher.ConnectData<TOpaque>> {
    const { hostname, port } = new URL(`tcp://${path}`);
    const to = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
    try {
      const limit = AbortSignal.timeout(connectTimeoutMs);
      const socket = await connectBy(this.#proxy, to, AbortSignal.any([limit, this.#closing.signal]));
      return { statusCode: 200, headers: {}, socket, opaque: opaque as TOpaque };
    } catch (error) {
      throw toAgentError(error, 'unavailable', `connect to ${routeText(to, this.#proxy)}`);
    }
  }

  override close(): Promise<void> {
    // What is in progress may end: it takes no longer than its limit.
    return Promise.resolve();
  }

  override destroy(): Promise<void> {
    this.#closing.abort();
    return Promise.resolve();
  }
}
