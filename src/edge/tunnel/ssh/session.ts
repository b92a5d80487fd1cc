// An SSH session as a client of a chisel server: the password, then global requests and channels.
// Every message has one place where it may come; anywhere else it ends the session.

import { AgentError } from '../../../errors.ts';
import { type ChannelsNeeds, type ChannelsOptions, createChannels } from './channels.ts';
import { msg } from './numbers.ts';
import { createRequests, type GlobalReply } from './requests.ts';
import { createSshTransport, type TransportOptions } from './transport.ts';
import { createWireReader, message, shownText, string, type WireReader } from './wire.ts';

export interface SessionNeeds extends Pick<ChannelsNeeds, 'onChannel'> {
  /** One packet, in pieces that follow each other. */
  readonly send: (packet: readonly Buffer[]) => void;
  /** The connection takes no more; `resume` is to be called when it does. Replies are sent all the same. */
  readonly isBlocked: () => boolean;
  /** The server has taken the password. */
  readonly onReady: () => void;
  /** Throws when this is not the server that is meant. */
  readonly checkHostKey: (blob: Buffer) => void;
  readonly random: (bytes: number) => Buffer;
}

export interface SessionOptions extends TransportOptions, ChannelsOptions {
  readonly user: string;
  readonly password: string;
}

export interface SshSession {
  start(): void;
  /** Throws what ends the session; nothing more may be handed in then. */
  receive(bytes: Buffer): void;
  request(name: string, data: string): Promise<GlobalReply>;
  resume(): void;
  /** Ends all channels and pending requests. */
  destroy(reason: Error): void;
}

type Phase = 'securing' | 'service' | 'password' | 'ready';

export function createSshSession(needs: SessionNeeds, options: SessionOptions): SshSession {
  let phase: Phase = 'securing';
  const transport = createSshTransport(
    {
      ...needs,
      onSecure(): void {
        phase = 'service';
        transport.send(message(msg.serviceRequest, string('ssh-userauth')));
      },
      onMessage: (payload) => onMessage(payload),
    },
    options,
  );
  const isBlocked = (): boolean => needs.isBlocked() || transport.isExchanging();
  const channels = createChannels({ ...needs, send: transport.send, isBlocked }, options);
  const requests = createRequests(transport.send);

  const onMessage = (payload: Buffer): void => {
    const reader = createWireReader(payload);
    const number = reader.u8();
    if (phase !== 'ready') phase = logIn(number, reader);
    else if (number >= msg.channelOpen) channels.onMessage(number, reader);
    else if (!requests.onMessage(number, reader)) throw unexpected(number);
  };

  const logIn = (number: number, reader: WireReader): Phase => {
    if (phase === 'service' && number === msg.serviceAccept) {
      transport.send(passwordRequest(options));
      return 'password';
    }
    if (phase === 'password' && number === msg.userauthBanner) return phase;
    if (phase === 'password' && number === msg.userauthFailure)
      throw new AgentError(
        'unavailable',
        `log in to tunnel server: credentials refused (${shownText(reader.string())})`,
      );
    if (phase !== 'password' || number !== msg.userauthSuccess) throw unexpected(number);
    needs.onReady();
    return 'ready';
  };

  return {
    start: transport.start,
    receive(bytes): void {
      transport.receive(bytes);
      // The end of a key exchange lets writers go on, and comes by no other way.
      channels.resume();
    },
    request: requests.ask,
    resume: channels.resume,
    destroy(reason): void {
      requests.destroy(reason);
      channels.destroy();
    },
  };
}

function passwordRequest({ user, password }: SessionOptions): Buffer {
  const parts = [
    string(user),
    string('ssh-connection'),
    string('password'),
    Buffer.from([0]),
    string(password),
  ];
  return message(msg.userauthRequest, ...parts);
}

function unexpected(number: number): AgentError {
  return new AgentError('protocol-violation', `tunnel server sent message ${number} where it may not`);
}
