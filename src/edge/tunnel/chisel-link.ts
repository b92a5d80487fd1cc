// The tunnel to Portainer's chisel server: an SSH session in the messages of a websocket, and one `config` request.

import type { Duplex } from 'node:stream';
import { type RawData, WebSocket } from 'ws';
import { AgentError, reasonOf, toAgentError } from '../../errors.ts';
import { toHostPort } from './address.ts';
import { assertFingerprint } from './fingerprint.ts';
import { createGate, type Gate, ungated } from './gate.ts';
import type { Connect, Link, LinkNeeds, LinkOrder } from './link.ts';
import { createRandomPool } from './ssh/random-pool.ts';
import { createSshSession, type SshSession } from './ssh/session.ts';

/** chisel's name for what it speaks, in the request; the answer never repeats it, so it is no subprotocol for `ws`. */
const protocol = 'chisel-v3';
/** The server sends what its SSH library flushes: packets. */
const maxMessageBytes = 1024 * 1024;
/** So much is not held back for what may come with it. */
const flushBytes = 128 * 1024;
/** The server refuses any other. */
const listenHost = '0.0.0.0';
/** Only logged by the server. */
const clientVersion = '0.0.0-src';

export const connectChisel: Connect = async (order, needs, signal) => {
  const { address } = order;
  const attempted = `open tunnel at ${toHostPort(address)}`;
  const socket = await needs.dial(address, signal);
  const wire = createWire(socket, order, needs, attempted);
  const onAbort = (): void => wire.link.close(`${attempted}: ${reasonOf(signal.reason)}`);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    await Promise.race([
      wire.ready,
      wire.link.ended.then((reason) => Promise.reject(new AgentError('unavailable', reason))),
    ]);
    const { ok, text } = await wire.session.request('config', encodeConfig(order));
    if (!ok) throw new AgentError('unavailable', `${attempted}: refused: ${text}`);
    return wire.link;
  } catch (error) {
    wire.link.close(reasonOf(error));
    await wire.link.ended;
    throw toAgentError(error, 'unavailable', attempted);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

/** In the order in which the original writes it. */
export function encodeConfig({ port, target }: Pick<LinkOrder, 'port' | 'target'>): string {
  const colon = target.lastIndexOf(':');
  const remote = {
    LocalHost: listenHost,
    LocalPort: String(port),
    LocalProto: 'tcp',
    RemoteHost: target.slice(0, colon),
    RemotePort: target.slice(colon + 1),
    RemoteProto: 'tcp',
    Socks: false,
    Reverse: true,
    Stdio: false,
  };
  return JSON.stringify({ Version: clientVersion, Remotes: [remote] });
}

interface Wire {
  readonly link: Link;
  readonly session: SshSession;
  /** The server took the password. */
  readonly ready: Promise<void>;
}

function createWire(socket: Duplex, order: LinkOrder, needs: LinkNeeds, attempted: string): Wire {
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  const gate = createGate(socket);
  const websocket = openWebSocket(socket, order);
  let heardBytes = 0;
  let reason: string | undefined;

  const close = (why: string): void => {
    if (reason !== undefined) return;
    reason = why;
    session.destroy(new AgentError('unavailable', why));
    websocket.terminate();
    socket.destroy();
  };
  const outbox = createOutbox(websocket, () => close('the tunnel server is closing the connection'));
  const session = createSession(outbox.add, gate, order, needs, ready.resolve);

  websocket.on('open', () => session.start());
  websocket.on('message', (chunk: RawData) => {
    if (reason !== undefined) return;
    try {
      const bytes = toBuffer(chunk);
      heardBytes += bytes.length;
      session.receive(bytes);
      gate.assertRead();
    } catch (error) {
      close(reasonOf(toAgentError(error, 'protocol-violation', attempted)));
    }
  });
  websocket.on('error', (error) => close(`${attempted}: ${reasonOf(error)}`));
  websocket.on('close', () => close('the tunnel server closed the connection'));
  socket.on('error', (error) => close(`the connection broke: ${reasonOf(error)}`));
  socket.on('close', () => {
    close('the tunnel server closed the connection');
    ended.resolve(reason ?? '');
  });
  gate.onFree(session.resume);

  const ping = (): void => {
    // Whatever the answer, its bytes are the sign of life; without one the link is closed by who asks.
    void session.request('ping', '').catch(() => undefined);
  };
  return {
    link: { ended: ended.promise, heardBytes: () => heardBytes, ping, close },
    session,
    ready: ready.promise,
  };
}

/**
 * What is said in one go leaves in one message: a chunk of our API's answer is several packets, each of several pieces, and
 * SSH does not look at where messages of the websocket begin.
 */
function createOutbox(websocket: WebSocket, onClosing: () => void): { add(packet: readonly Buffer[]): void } {
  let waiting: Buffer[] = [];
  let bytes = 0;
  const flush = (): void => {
    const pieces = waiting;
    const total = bytes;
    waiting = [];
    bytes = 0;
    if (total === 0) return;
    if (websocket.readyState === WebSocket.OPEN) websocket.send(Buffer.concat(pieces, total));
    else onClosing();
  };
  return {
    add(packet): void {
      if (bytes === 0) process.nextTick(flush);
      for (const piece of packet) {
        waiting.push(piece);
        bytes += piece.length;
      }
      if (bytes >= flushBytes) flush();
    },
  };
}

function openWebSocket(socket: Duplex, { address }: LinkOrder): WebSocket {
  // TLS is the socket's affair already.
  return new WebSocket(`ws://${toHostPort(address)}/`, {
    headers: { 'Sec-WebSocket-Protocol': protocol },
    createConnection: () => socket,
    perMessageDeflate: false,
    // A mask of nothing, which ws does not apply. RFC 6455 (10.3) wants an unpredictable one so that nobody chooses the
    // bytes that a proxy sees: these are SSH's ciphertext, which only the server could choose, whom we know by its
    // fingerprint. Masking took as long as everything else.
    generateMask: (mask) => void mask.fill(0),
    followRedirects: false,
    maxPayload: maxMessageBytes,
  });
}

function createSession(
  send: (packet: readonly Buffer[]) => void,
  gate: Gate,
  order: LinkOrder,
  { onChannel }: LinkNeeds,
  onReady: () => void,
): SshSession {
  const { credentials, fingerprint, target } = order;
  return createSshSession(
    {
      send,
      isBlocked: gate.isBlocked,
      onReady,
      checkHostKey: (blob) => assertFingerprint(blob, fingerprint),
      random: createRandomPool(),
      onChannel: (stream, closedByPeer) =>
        onChannel({
          stream,
          closedByPeer,
          ...ungated(stream),
          close: () => void stream.end(),
        }),
    },
    { ...credentials, ident: `SSH-${protocol}-client`, channelType: 'chisel', target },
  );
}

function toBuffer(chunk: RawData): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk;
  return Array.isArray(chunk) ? Buffer.concat(chunk) : Buffer.from(chunk);
}
