// Connects to the tunnel server: directly or through a proxy (HTTP CONNECT or SOCKS5), and in TLS where asked.
// A socket that it could not hand over is closed.

import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { AgentError, toAgentError } from '../../errors.ts';
import { type TunnelAddress, toHostPort } from './address.ts';

export interface DialOptions {
  /** `http://`, `socks://` or `socks5h://`, perhaps with user and password. Undefined: none. */
  readonly proxy: string | undefined;
  /** With the name's resolution. Shorter than it takes to give up: the next attempt may find another path. */
  readonly timeoutMs: number;
}

const keepAliveMs = 15_000;
/** Of a proxy's answer. */
const maxProxyAnswerBytes = 16 * 1024;

export async function dialServer(
  address: TunnelAddress,
  { proxy, timeoutMs }: DialOptions,
  signal: AbortSignal,
): Promise<Duplex> {
  const via = proxy === undefined ? undefined : new URL(proxy);
  const attempted = `dial tunnel server ${toHostPort(address)}${via === undefined ? '' : ` by proxy ${via.host}`}`;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  let socket: Socket | undefined;
  try {
    socket = connect(via === undefined ? address : proxyAddress(via));
    // Whoever waits hears of it first; a later error of a socket that is closing has nobody else to go to.
    socket.on('error', () => undefined);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    await once(socket, 'connect', { signal: limited });
    if (via !== undefined) await passProxy(socket, via, address, limited);
    if (!address.tls) return socket;
    const { host } = address;
    const secure = connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}) });
    secure.on('error', () => undefined);
    await once(secure, 'secureConnect', { signal: limited });
    return secure;
  } catch (error) {
    socket?.destroy();
    if (limited.aborted && !signal.aborted)
      throw new AgentError('timeout', `${attempted}: no answer in ${timeoutMs} ms`, { cause: error });
    throw toAgentError(error, 'unavailable', attempted);
  }
}

function proxyAddress(proxy: URL): { readonly host: string; readonly port: number } {
  const port = proxy.port === '' ? (proxy.protocol === 'http:' ? 80 : 1080) : Number(proxy.port);
  return { host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

async function passProxy(socket: Socket, proxy: URL, to: TunnelAddress, signal: AbortSignal): Promise<void> {
  if (proxy.protocol === 'http:') await passHttpProxy(socket, proxy, to, signal);
  else if (/^socks5?h?:$/.test(proxy.protocol)) await passSocks(socket, proxy, to, signal);
  else throw new AgentError('config-invalid', `a proxy of kind ${proxy.protocol} is not supported`);
}

async function passHttpProxy(
  socket: Socket,
  proxy: URL,
  to: TunnelAddress,
  signal: AbortSignal,
): Promise<void> {
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

/** RFC 1928, RFC 1929. Names are resolved by the proxy, as it may be the only one that can. */
async function passSocks(socket: Socket, proxy: URL, to: TunnelAddress, signal: AbortSignal): Promise<void> {
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
