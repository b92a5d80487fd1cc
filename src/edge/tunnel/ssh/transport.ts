// SSH's transport layer as a client: identification, key exchange, and messages in packets, later exchanges included.
// No socket and no clock: bytes are handed in and out. Whatever the server sends, it is a message, nothing, or an error.

import { AgentError } from '../../../errors.ts';
import { createKeyExchange, type KeyExchangeOptions, unexpected } from './key-exchange.ts';
import { msg } from './numbers.ts';
import { createPacketOpener, createPacketSealer } from './packets.ts';
import { createWireReader, shownText } from './wire.ts';

export interface TransportNeeds {
  /** One packet, in pieces that follow each other. */
  readonly send: (packet: readonly Buffer[]) => void;
  /** Keys are in use for the first time. */
  readonly onSecure: () => void;
  /** In order; none before `onSecure`. */
  readonly onMessage: (payload: Buffer) => void;
  /** Throws when this is not the server that is meant. Called before anything secret is sent, at each exchange. */
  readonly checkHostKey: (blob: Buffer) => void;
  readonly random: (bytes: number) => Buffer;
}

export type SendMessage = (head: Buffer, data?: Buffer) => void;

export type TransportOptions = KeyExchangeOptions;

export interface SshTransport {
  start(): void;
  /** Throws what ends the connection. */
  receive(bytes: Buffer): void;
  /** A message, and what it carries behind it. Held back while keys are exchanged. */
  send: SendMessage;
  isExchanging(): boolean;
}

/** What may wait for the end of a later exchange: writers stop when it begins, so this is replies. */
const maxHeldMessages = 10_000;

export function createSshTransport(needs: TransportNeeds, options: TransportOptions): SshTransport {
  const sealer = createPacketSealer(needs.random);
  const opener = createPacketOpener();
  let isSecured = false;
  let held: Buffer[] = [];
  const sendNow: SendMessage = (head, data) => needs.send(sealer.seal(head, data));

  const exchange = createKeyExchange(
    {
      ...needs,
      send: sendNow,
      onSendKey: sealer.use,
      onReceiveKey(key): void {
        opener.use(key);
        const waiting = held;
        held = [];
        if (!isSecured) needs.onSecure();
        isSecured = true;
        for (const each of waiting) sendNow(each);
      },
    },
    options,
  );

  const onPayload = (payload: Buffer): void => {
    const number = payload[0] ?? 0;
    if (number === msg.disconnect) throw disconnected(payload);
    if (number === msg.kexInit) exchange.onInit(payload);
    else if (number === msg.ecdhReply) exchange.onReply(payload);
    else if (number === msg.newKeys) exchange.onNewKeys(payload);
    else if (isIdle(number)) exchange.onIdle(payload);
    else if (exchange.phase() === 'secure') needs.onMessage(payload);
    else throw unexpected(payload, exchange.phase());
  };

  return {
    start: () => needs.send([Buffer.from(`${options.ident}\r\n`, 'latin1')]),
    receive(bytes): void {
      opener.push(bytes);
      if (exchange.phase() === 'ident') {
        const line = opener.line();
        if (line === undefined) return;
        if (!line.startsWith('SSH-'))
          throw new AgentError('protocol-violation', 'read identification of tunnel server: it is not SSH');
        exchange.begin(line);
      }
      for (let payload = opener.next(); payload !== undefined; payload = opener.next()) onPayload(payload);
    },
    send(head, data): void {
      if (exchange.phase() === 'secure') {
        sendNow(head, data);
        return;
      }
      if (held.length >= maxHeldMessages)
        throw new AgentError('limit-exceeded', 'exchange keys with tunnel server: too much waits for it');
      held.push(data === undefined ? head : Buffer.concat([head, data]));
    },
    isExchanging: () => exchange.phase() !== 'secure',
  };
}

function isIdle(number: number): boolean {
  return [msg.ignore, msg.debug, msg.unimplemented, msg.extInfo].some((idle) => idle === number);
}

function disconnected(payload: Buffer): AgentError {
  const reader = createWireReader(payload);
  reader.skip(1);
  const code = reader.u32();
  return new AgentError('unavailable', `tunnel server disconnected (${code}): ${shownText(reader.string())}`);
}
