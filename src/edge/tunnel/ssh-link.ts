// The tunnel to a plain SSH server, OpenSSH's included: `tcpip-forward` (RFC 4254 §7), as `ssh -R` asks for it.
// ssh2 speaks the protocol; which server it is, and what it may open here, is decided by us.

import type { Duplex } from 'node:stream';
import type { Client, ClientChannel, ServerHostKeyAlgorithm } from 'ssh2';
import { AgentError, reasonOf, toAgentError } from '../../errors.ts';
import { toHostPort } from './address.ts';
import { assertFingerprint } from './fingerprint.ts';
import { createGate, type Gate } from './gate.ts';
import type { Connect, Link, LinkChannel, LinkNeeds, LinkOrder } from './link.ts';

/** The server's loopback: whoever the tunnel is for is there, and nobody else is let in by it. */
const listenHost = 'localhost';
/** Open ones at once; each is one connection at the server's end. */
const maxSshChannels = 512;

/**
 * A server has keys of several types and the Edge key names one of them, by its fingerprint alone. It is asked for one
 * type after the other, since it shows the key that is agreed on first and no other.
 */
const hostKeyTypes: readonly (readonly ServerHostKeyAlgorithm[])[] = [
  ['ssh-ed25519'],
  ['ecdsa-sha2-nistp256'],
  ['rsa-sha2-512', 'rsa-sha2-256'],
  ['ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
];

export function createConnectSsh(): Connect {
  // The one that fitted is asked for first the next time.
  let types = hostKeyTypes;
  return async (order, needs, signal) => {
    let stranger: unknown;
    for (const type of types) {
      try {
        const link = await connectWith(type, order, needs, signal);
        types = [type, ...hostKeyTypes.filter((other) => other !== type)];
        return link;
      } catch (error) {
        if (!isOtherKey(error)) throw error;
        stranger ??= error;
      }
    }
    throw stranger;
  };
}

/** No key of this type, or not the one that is expected. Nothing secret was sent. */
function isOtherKey(error: unknown): boolean {
  return (
    error instanceof AgentError &&
    (error.code === 'member-untrusted' || /no matching (?:host key|server host key)/i.test(error.message))
  );
}

async function connectWith(
  hostKeys: readonly ServerHostKeyAlgorithm[],
  order: LinkOrder,
  needs: LinkNeeds,
  signal: AbortSignal,
): Promise<Link> {
  const attempted = `open tunnel at ssh://${toHostPort(order.address)}`;
  // Loaded by whoever has such a tunnel: it costs memory that no other agent should pay.
  const { Client: SshClient } = await import('ssh2');
  const socket = await needs.dial(order.address, signal);
  const client = new SshClient();
  const { link, listening } = createSshLink(client, socket, order, needs, attempted);
  const onAbort = (): void => link.close(`${attempted}: ${reasonOf(signal.reason)}`);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  let stranger: AgentError | undefined;
  try {
    client.connect({
      ...order.credentials,
      username: order.credentials.user,
      // Its socket is another object than Node's in the types of ssh2, and any duplex will do.
      sock: socket,
      tryKeyboard: true,
      // Else ssh2 asks its question that serves as a ping of OpenSSH alone, though any server answers it (RFC 4254 §4).
      strictVendor: false,
      readyTimeout: 0,
      algorithms: {
        serverHostKey: [...hostKeys],
        cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'],
      },
      hostVerifier: (key: Buffer): boolean => {
        try {
          assertFingerprint(key, order.fingerprint);
          return true;
        } catch (error) {
          stranger = toAgentError(error, 'member-untrusted', attempted);
          return false;
        }
      },
    });
    await Promise.race([
      listening,
      link.ended.then((reason) => Promise.reject(new AgentError('unavailable', reason))),
    ]);
    return link;
  } catch (error) {
    link.close(reasonOf(error));
    await link.ended;
    throw stranger ?? toAgentError(error, 'unavailable', attempted);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function createSshLink(
  client: Client,
  socket: Duplex,
  { port, credentials }: LinkOrder,
  needs: LinkNeeds,
  attempted: string,
): { readonly link: Link; readonly listening: Promise<void> } {
  const ended = Promise.withResolvers<string>();
  const listening = Promise.withResolvers<void>();
  const gate = createGate(socket);
  let heardBytes = 0;
  let channels = 0;
  let reason: string | undefined;

  const close = (why: string): void => {
    reason ??= why;
    socket.destroy();
  };
  client.on('error', (error) => close(`${attempted}: ${describe(error)}`));
  client.on('keyboard-interactive', (_name, _instructions, _language, prompts, finish) =>
    finish(prompts.map(() => credentials.password)),
  );
  client.on('ready', () =>
    client.forwardIn(listenHost, port, (error) => {
      if (error === undefined) listening.resolve();
      else close(`${attempted}: the server does not listen on port ${port}: ${reasonOf(error)}`);
    }),
  );
  client.on('tcp connection', (_details, accept, reject) => {
    if (channels >= maxSshChannels) return reject();
    const stream = accept();
    channels += 1;
    stream.once('close', () => {
      channels -= 1;
    });
    needs.onChannel(toLinkChannel(stream, socket, gate));
  });
  socket.on('data', (chunk: Buffer) => {
    heardBytes += chunk.length;
  });
  socket.on('error', (error) => close(`the connection broke: ${reasonOf(error)}`));
  socket.on('end', () => close('the tunnel server closed the connection'));
  socket.on('close', () => {
    reason ??= 'the tunnel server closed the connection';
    // ssh2 ends its channels and timers at this same event, with a listener of its own.
    setImmediate(() => ended.resolve(reason ?? ''));
  });
  const link = {
    ended: ended.promise,
    heardBytes: () => heardBytes,
    // Of the questions that ssh2 lets us ask this one does no harm, as we open no sessions; any answer is a sign of life.
    ping(): void {
      if (socket.writable) client.openssh_noMoreSessions(() => undefined);
    },
    close,
  };
  return { link, listening: listening.promise };
}

function toLinkChannel(stream: ClientChannel, socket: Duplex, gate: Gate): LinkChannel {
  stream.on('error', () => undefined);
  return {
    stream,
    closedByPeer: undefined,
    write(chunk): boolean {
      // ssh2 writes head, body and tag of each packet one by one: three system calls, and with them three packets.
      socket.cork();
      const hasRoom = stream.write(chunk);
      socket.uncork();
      return hasRoom;
    },
    isBlocked: gate.isBlocked,
    onFree: gate.onFree,
    close: () => void stream.destroy(),
  };
}

function describe(error: Error & { readonly level?: string }): string {
  return error.level === 'client-authentication' ? 'credentials refused' : reasonOf(error);
}
