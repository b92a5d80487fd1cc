// A chisel server as Portainer runs it, for reverse remotes: websocket, SSH, `config`, and a listener per tunnel.
// Strict where the real one is: a message for an unknown channel ends the connection, and nothing half-closes unless told to.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ChiselConfig, readConfig } from './chisel-config.ts';
import {
  createSshServer,
  hostKeyBlob,
  num,
  readHostKey,
  type SshServer,
  str,
  strings,
} from './chisel-ssh.ts';

export interface ChiselServerOptions {
  readonly hostKeyPem: string;
  /** Default: any free one. */
  readonly port?: number;
  /** Where agents connect. Default: 127.0.0.1. */
  readonly host?: string;
  /** Where clients of the tunnel connect. The real one listens on all addresses. */
  readonly listenHost?: string;
  /** As from 1.12 on: the end of what a client sends is told, and the client can still be answered. Default: no. */
  readonly halfCloses?: boolean;
}

export interface ChiselServer extends AsyncDisposable {
  readonly port: number;
  readonly fingerprint: string;
  readonly md5Fingerprint: string;
  /** This user may open this port, as a poll has told the agent. */
  allow(user: string, password: string, port: number): void;
  forget(user: string): void;
  sessions(): number;
  /** Passwords that were sent, right or wrong. */
  logins(): number;
  /** TCP connections of clients of all tunnels. */
  channels(): number;
  /** Why sessions ended, the strict ones' reasons included. */
  readonly faults: readonly string[];
  /** Exchanges keys again with every client; false while that is going on. */
  rekey(): boolean;
  /** Opens a channel that nobody asked for; its answer's number: 91 or 92. */
  probe(type: string, target: string): Promise<number>;
  /** Cuts every TCP connection with agents. */
  cut(): void;
  stop(): Promise<void>;
}

interface Permission {
  readonly password: string;
  readonly port: number;
}

interface Session {
  readonly ssh: SshServer;
  readonly socket: WebSocket;
  probe(type: string, target: string): Promise<number>;
  end(): void;
  channels(): number;
}

export async function startChiselServer(options: ChiselServerOptions): Promise<ChiselServer> {
  const hostKey = readHostKey(options.hostKeyPem);
  const blob = hostKeyBlob(hostKey);
  const permissions = new Map<string, Permission>();
  const sessions = new Set<Session>();
  const sockets = new Set<Socket>();
  const faults: string[] = [];
  let logins = 0;
  const http: HttpServer = createHttpServer((_request, response) => response.writeHead(404).end('Not found'));
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  // No answer to the subprotocol: the real one has none.
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: () => false,
  });
  http.on('upgrade', (request, socket, head) => {
    if (request.headers['sec-websocket-protocol'] !== 'chisel-v3') {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot found');
      return;
    }
    server.handleUpgrade(request, socket, head, (websocket) => {
      const session = createSession(websocket, {
        hostKey,
        permissions,
        listenHost: options.listenHost ?? '127.0.0.1',
        halfCloses: options.halfCloses ?? false,
        fault: (text) => faults.push(text),
        onLogin: () => {
          logins += 1;
        },
      });
      sessions.add(session);
      websocket.once('close', () => {
        session.end();
        sessions.delete(session);
      });
    });
  });
  http.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(http, 'listening');
  const md5 = createHash('md5').update(blob).digest('hex');
  const stop = async (): Promise<void> => {
    if (!http.listening) return;
    const closed = once(http, 'close');
    http.close();
    for (const socket of sockets) socket.destroy();
    for (const session of sessions) session.end();
    await closed;
  };
  return {
    port: (http.address() as AddressInfo).port,
    fingerprint: createHash('sha256').update(blob).digest('base64'),
    md5Fingerprint: md5.match(/../g)?.join(':') ?? '',
    allow: (user, password, port) => void permissions.set(user, { password, port }),
    forget: (user) => void permissions.delete(user),
    sessions: () => sessions.size,
    logins: () => logins,
    channels: () => [...sessions].reduce((sum, session) => sum + session.channels(), 0),
    faults,
    rekey: () => [...sessions].every(({ ssh }) => ssh.rekey()),
    probe: (type, target) => [...sessions][0]?.probe(type, target) ?? Promise.reject(new Error('no session')),
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface SessionContext {
  readonly hostKey: Parameters<typeof createSshServer>[0]['hostKey'];
  readonly permissions: ReadonlyMap<string, Permission>;
  readonly listenHost: string;
  readonly halfCloses: boolean;
  readonly fault: (text: string) => void;
  readonly onLogin: () => void;
}

interface ServerChannel {
  readonly socket: Socket;
  peer: number | undefined;
  /** What we may send. */
  window: number;
  /** What the client may send. */
  ownWindow: number;
  /** Written for the client of the tunnel, and not told to the agent yet. */
  consumed: number;
  queue: Buffer[];
  sentEof: boolean;
  sentClose: boolean;
  gotClose: boolean;
}

const windowBytes = 2_097_152;
const packetBytes = 32_768;
/** As Go's SSH library does since 2023: windows are given back by the piece of three packets, not at every read. */
const returnAfterBytes = 3 * packetBytes;

function createSession(websocket: WebSocket, context: SessionContext): Session {
  const channels = new Map<number, ServerChannel>();
  const probes = new Map<number, (answer: number) => void>();
  let listener: Server | undefined;
  let target = '';
  let configured = false;

  const end = (): void => {
    listener?.close();
    for (const { socket } of channels.values()) socket.destroy();
    channels.clear();
    websocket.terminate();
  };
  const fault = (text: string): void => {
    context.fault(text);
    end();
  };
  const ssh = createSshServer({
    hostKey: context.hostKey,
    send: (bytes) => websocket.send(bytes),
    checkPassword: (user, password) => {
      context.onLogin();
      return context.permissions.get(user)?.password === password;
    },
    onMessage: (payload) => onMessage(payload),
  });
  websocket.on('message', (bytes: Buffer) => {
    try {
      ssh.receive(bytes);
    } catch (error) {
      fault(String(error));
    }
  });
  websocket.on('error', () => undefined);

  const onGlobal = (payload: Buffer): void => {
    const [name = Buffer.alloc(0)] = strings(payload, 1, 1);
    const data = payload.subarray(6 + name.length);
    if (!configured) {
      configured = true;
      if (String(name) === 'config') configure(readConfig(data));
      else refuse('server: expecting config request');
    } else if (String(name) === 'ping') ssh.send(Buffer.concat([Buffer.from([81]), Buffer.from('pong')]));
    else ssh.send(Buffer.from([82]));
  };
  const refuse = (text: string): void => ssh.send(Buffer.concat([Buffer.from([82]), Buffer.from(text)]));

  const configure = ({ Remotes: [remote] }: ChiselConfig): void => {
    const wanted = `R:${remote?.LocalHost}:${remote?.LocalPort}`;
    const port = context.permissions.get(ssh.user() ?? '')?.port;
    if (remote?.Reverse !== true || wanted !== `R:0.0.0.0:${port}`) {
      refuse(`server: access to '${wanted}' denied`);
      return;
    }
    target = `${remote.RemoteHost}:${remote.RemotePort}`;
    const waiting = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept);
    waiting.once('error', () => refuse(`server: Server cannot listen on R:${port}=>${remote.RemotePort}`));
    waiting.listen(port, context.listenHost, () => {
      listener = waiting;
      ssh.send(Buffer.from([81]));
    });
  };

  const accept = (socket: Socket): void => {
    let number = 0;
    while (channels.has(number) || probes.has(number)) number += 1;
    const channel: ServerChannel = {
      socket,
      peer: undefined,
      window: 0,
      ownWindow: windowBytes,
      consumed: 0,
      queue: [],
      sentEof: false,
      sentClose: false,
      gotClose: false,
    };
    channels.set(number, channel);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => close(number, channel));
    open(number, 'chisel', target);
  };
  const open = (number: number, type: string, to: string): void =>
    ssh.send(
      Buffer.concat([
        Buffer.from([90]),
        str(type),
        num(number),
        num(windowBytes),
        num(packetBytes),
        Buffer.from(to),
      ]),
    );

  const close = (number: number, channel: ServerChannel): void => {
    if (channel.peer === undefined || channel.sentClose || channels.get(number) !== channel) return;
    channel.sentClose = true;
    ssh.send(Buffer.concat([Buffer.from([97]), num(channel.peer)]));
    if (channel.gotClose) channels.delete(number);
  };

  /** The client has said all: up to 1.11 nothing that comes after is given to it. */
  const onClientEnd = (number: number, channel: ServerChannel): void => {
    if (!context.halfCloses) {
      close(number, channel);
      channel.socket.destroySoon();
    } else if (!channel.sentEof && !channel.sentClose && channel.peer !== undefined) {
      channel.sentEof = true;
      ssh.send(Buffer.concat([Buffer.from([96]), num(channel.peer)]));
    }
  };

  /** Sends what the window allows. */
  const pump = (number: number, channel: ServerChannel): void => {
    for (
      let [chunk] = channel.queue;
      chunk !== undefined && channel.window > 0 && !channel.sentClose;
      [chunk] = channel.queue
    ) {
      const size = Math.min(chunk.length, channel.window, packetBytes);
      ssh.send(Buffer.concat([Buffer.from([94]), num(channel.peer ?? 0), str(chunk.subarray(0, size))]));
      channel.window -= size;
      if (size === chunk.length) channel.queue.shift();
      else channel.queue[0] = chunk.subarray(size);
    }
    if (channel.queue.length === 0) {
      if (channel.socket.readableEnded) onClientEnd(number, channel);
      else channel.socket.resume();
    } else channel.socket.pause();
  };

  const onConfirmed = (number: number, channel: ServerChannel, payload: Buffer): void => {
    channel.peer = payload.readUInt32BE(5);
    channel.window = payload.readUInt32BE(9);
    channel.socket.on('data', (chunk: Buffer) => {
      channel.queue.push(chunk);
      pump(number, channel);
    });
    channel.socket.on('end', () => pump(number, channel));
    if (channel.socket.destroyed) close(number, channel);
    else channel.socket.resume();
  };

  const onMessage = (payload: Buffer): void => {
    const kind = payload[0] ?? 0;
    if (kind === 80) {
      onGlobal(payload);
      return;
    }
    if (kind < 90) return;
    const number = payload.readUInt32BE(1);
    const probe = probes.get(number);
    if (probe !== undefined) {
      probes.delete(number);
      probe(kind);
      return;
    }
    const channel = channels.get(number);
    if (channel === undefined) {
      fault(`ssh: invalid channel ${number} in message ${kind}`);
      return;
    }
    onChannel(kind, number, channel, payload);
  };

  const onChannel = (kind: number, number: number, channel: ServerChannel, payload: Buffer): void => {
    if (channel.gotClose) {
      fault(`message ${kind} after the client's own close`);
      return;
    }
    switch (kind) {
      case 91:
        onConfirmed(number, channel, payload);
        return;
      case 92:
        channel.socket.destroy();
        channels.delete(number);
        return;
      case 93:
        channel.window += payload.readUInt32BE(5);
        pump(number, channel);
        return;
      case 94: {
        const [data = Buffer.alloc(0)] = strings(payload, 5, 1);
        channel.ownWindow -= data.length;
        if (channel.ownWindow < 0 || data.length > packetBytes) {
          fault('window exceeded');
          return;
        }
        // It was told, and this was under way.
        if (channel.sentClose) return;
        channel.socket.write(data, () => {
          channel.consumed += data.length;
          if (channel.sentClose || channels.get(number) !== channel) return;
          if (windowBytes - channel.ownWindow <= returnAfterBytes) return;
          ssh.send(Buffer.concat([Buffer.from([93]), num(channel.peer ?? 0), num(channel.consumed)]));
          channel.ownWindow += channel.consumed;
          channel.consumed = 0;
        });
        return;
      }
      case 97:
        channel.gotClose = true;
        channel.socket.end();
        channel.socket.resume();
        if (channel.sentClose) channels.delete(number);
        else {
          close(number, channel);
          channels.delete(number);
        }
        return;
      default:
        fault(`message ${kind}, which a chisel client never sends`);
        return;
    }
  };

  return {
    ssh,
    socket: websocket,
    channels: () => channels.size,
    end,
    probe: (type, to) =>
      new Promise((resolve) => {
        probes.set(100_000, resolve);
        open(100_000, type, to);
      }),
  };
}
