// Connects to a host and port, directly or past a proxy: HTTP's CONNECT, in TLS where the proxy speaks that, or SOCKS5.
// Names are resolved by the proxy, as it may be the only one that can. A socket that is not handed over is closed.

import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { AgentError } from '../errors.ts';
import { trustSystem } from './system-trust.ts';
import { toHostPort } from './tunnel/address.ts';

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

const keepAliveMs = 15_000;
/** Of a proxy's answer. */
const maxProxyAnswerBytes = 16 * 1024;
const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };
const defaultSocksPort = 1080;

/** `via` is an `http:`, `https:`, `socks:`, `socks5:` or `socks5h:` URL, perhaps with user and password. */
export async function connectBy(via: URL | undefined, to: HostPort, signal: AbortSignal): Promise<Socket> {
  if (via === undefined) return connectTcp(to, signal);
  const proxy = proxyAddress(via);
  const tcp = await connectTcp(proxy, signal);
  const socket = via.protocol === 'https:' ? await startTls(tcp, proxy.host, signal) : tcp;
  try {
    await pass(socket, via, to, signal);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Verifies the host, by the system's CAs too. The socket is the TLS's from now on, or closed. */
export async function startTls(socket: Socket, host: string, signal: AbortSignal): Promise<TLSSocket> {
  trustSystem();
  // An IP address is verified too, but not named: TLS has no place for it.
  const named = isIP(host) === 0 ? { servername: host } : {};
  const secure = connectTls({ socket, host, ...named });
  return whenConnected(secure, 'secureConnect', signal);
}

async function connectTcp(to: HostPort, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host: to.host, port: to.port });
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
  return whenConnected(socket, 'connect', signal);
}

async function whenConnected<T extends Socket>(socket: T, event: string, signal: AbortSignal): Promise<T> {
  // Whoever waits hears of it first; a later error of a socket that is closing has nobody else to go to.
  socket.on('error', () => undefined);
  try {
    await once(socket, event, { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** For errors: what was tried, without the proxy's password. */
export function routeText(to: HostPort, via: URL | undefined): string {
  return `${toHostPort(to)}${via === undefined ? '' : ` by proxy ${via.host}`}`;
}

function proxyAddress(proxy: URL): HostPort {
  const port = proxy.port === '' ? (defaultPorts[proxy.protocol] ?? defaultSocksPort) : Number(proxy.port);
  return { host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

async function pass(socket: Socket, proxy: URL, to: HostPort, signal: AbortSignal): Promise<void> {
  if (proxy.protocol in defaultPorts) await passHttpProxy(socket, proxy, to, signal);
  else if (/^socks(?:5h?)?:$/.test(proxy.protocol)) await passSocks(socket, proxy, to, signal);
  else throw new AgentError('config-invalid', `a proxy of kind ${proxy.protocol} is not supported`);
}

async function passHttpProxy(socket: Socket, proxy: URL, to: HostPort, signal: AbortSignal): Promise<void> {
  const name = toHostPort(to);
  const login = Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`);
  const lines = [`CONNECT ${name} HTTP/1.1`, `Host: ${name}`];
  if (proxy.username !== '') lines.push(`Proxy-Authorization: Basic ${login.toString('base64')}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const endOf = (bytes: Buffer): number => {
    const end = bytes.indexOf('\r\n\r\n');
    return end === -1 ? 0 : end + 4;
  };
  const head = (await readUntil(socket, endOf, signal)).toString('latin1');
  if (!/^HTTP\/1\.[01] 2\d\d/.test(head))
    throw new AgentError(
      'unavailable',
      `the proxy refused: ${head.split('\r\n', 1)[0]?.slice(0, 100) ?? ''}`,
    );
}

/** RFC 1928, RFC 1929. */
async function passSocks(socket: Socket, proxy: URL, to: HostPort, signal: AbortSignal): Promise<void> {
  const counted = (text: string): Buffer =>
    Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
  const exactly = (bytes: number) => readUntil(socket, (read) => (read.length >= bytes ? bytes : 0), signal);
  const methods = proxy.username === '' ? [0] : [0, 2];
  socket.write(Buffer.from([5, methods.length, ...methods]));
  const method = (await exactly(2))[1];
  if (method === 2) {
    const [user, password] = [decodeURIComponent(proxy.username), decodeURIComponent(proxy.password)];
    socket.write(Buffer.concat([Buffer.from([1]), counted(user), counted(password)]));
    if ((await exactly(2))[1] !== 0) throw new AgentError('unavailable', 'the proxy refused our password');
  } else if (method !== 0) throw new AgentError('unavailable', 'the proxy wants another kind of login');
  const port = Buffer.from([to.port >> 8, to.port & 0xff]);
  socket.write(Buffer.concat([Buffer.from([5, 1, 0, 3]), counted(to.host), port]));
  const answer = await readUntil(socket, socksAnswerBytes, signal);
  if (answer[1] !== 0) throw new AgentError('unavailable', `the proxy could not connect (${answer[1] ?? 0})`);
}

/** Its length depends on the kind of address in it. */
function socksAnswerBytes(bytes: Buffer): number {
  const [, , , kind, first = 0] = bytes;
  if (bytes.length < 5) return 0;
  const addressBytes = kind === 1 ? 4 : kind === 4 ? 16 : 1 + first;
  return bytes.length >= 6 + addressBytes ? 6 + addressBytes : 0;
}

/** Takes the beginning whose length `lengthOf` tells (0: not whole yet), and leaves the rest to the next reader. */
async function readUntil(
  socket: Socket,
  lengthOf: (bytes: Buffer) => number,
  signal: AbortSignal,
): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      if (socket.readableEnded) throw new AgentError('unavailable', 'the proxy closed the connection');
      await Promise.race([once(socket, 'readable', { signal }), once(socket, 'end', { signal })]);
      continue;
    }
    bytes = Buffer.concat([bytes, chunk]);
    const length = lengthOf(bytes);
    if (length > 0) {
      if (bytes.length > length) socket.unshift(bytes.subarray(length));
      return bytes.subarray(0, length);
    }
    if (bytes.length > maxProxyAnswerBytes)
      throw new AgentError('limit-exceeded', 'the proxy answers without end');
  }
}
