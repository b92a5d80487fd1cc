// Runs key exchanges as a client: the first one, and those that the server asks for later.
// The host key is checked, by its fingerprint and by its signature, before anything secret can be sent.

import { AgentError } from '../../../errors.ts';
import {
  agreeOn,
  assertHostSignature,
  createEphemeralKey,
  deriveKeys,
  type EphemeralKey,
  encodeKexInit,
  exchangeHash,
  sharedSecret,
} from './kex.ts';
import { msg } from './numbers.ts';
import type { PacketKey } from './packets.ts';
import { createWireReader, message, string } from './wire.ts';

export interface KeyExchangeNeeds {
  readonly send: (payload: Buffer) => void;
  /** Throws when this is not the server that is meant. */
  readonly checkHostKey: (blob: Buffer) => void;
  readonly random: (bytes: number) => Buffer;
  /** What is sent from now on is sealed with it. */
  readonly onSendKey: (key: PacketKey) => void;
  /** The same for what is received; the exchange is over. */
  readonly onReceiveKey: (key: PacketKey) => void;
}

export interface KeyExchangeOptions {
  /** Our identification, without the line's end. */
  readonly ident: string;
  /** Default: a new one for each exchange. */
  readonly createKey?: () => EphemeralKey;
  /** Default: all that this client can. */
  readonly kexMethods?: readonly string[];
}

export interface KeyExchange {
  /** The first one. */
  begin(serverIdent: string): void;
  onInit(serverInit: Buffer): void;
  onReply(payload: Buffer): void;
  onNewKeys(payload: Buffer): void;
  /** A message that means nothing came during an exchange. Throws where that may be an attack. */
  onIdle(payload: Buffer): void;
  phase(): ExchangePhase['kind'];
}

type ExchangePhase =
  | { readonly kind: 'ident' }
  /** Ours is sent, the server's is awaited. */
  | { readonly kind: 'init'; readonly clientInit: Buffer }
  | {
      readonly kind: 'reply';
      readonly clientInit: Buffer;
      readonly serverInit: Buffer;
      readonly key: EphemeralKey;
      readonly skipsNext: boolean;
    }
  | { readonly kind: 'new-keys'; readonly toClient: PacketKey }
  | { readonly kind: 'secure' };

const cookieBytes = 16;

export function createKeyExchange(needs: KeyExchangeNeeds, options: KeyExchangeOptions): KeyExchange {
  const { ident, createKey = createEphemeralKey, kexMethods } = options;
  let phase: ExchangePhase = { kind: 'ident' };
  let serverIdent = '';
  let sessionId: Buffer | undefined;
  let strict = false;
  let hasIdled = false;

  const sendInit = (): Buffer => {
    const clientInit = encodeKexInit(needs.random(cookieBytes), kexMethods);
    needs.send(clientInit);
    return clientInit;
  };

  return {
    begin(line): void {
      serverIdent = line;
      phase = { kind: 'init', clientInit: sendInit() };
    },
    onInit(serverInit): void {
      if (phase.kind !== 'init' && phase.kind !== 'secure') throw unexpected(serverInit, phase.kind);
      const agreement = agreeOn(serverInit);
      // Said in the first exchange, it holds for that one only.
      strict = sessionId === undefined && agreement.strict;
      if (strict && hasIdled) throw unexpected(serverInit, phase.kind);
      const clientInit = phase.kind === 'init' ? phase.clientInit : sendInit();
      const key = createKey();
      phase = { kind: 'reply', clientInit, serverInit, key, skipsNext: agreement.skipsGuess };
      needs.send(message(msg.ecdhInit, string(key.publicBytes)));
    },
    onReply(payload): void {
      if (phase.kind !== 'reply') throw unexpected(payload, phase.kind);
      if (phase.skipsNext) {
        phase = { ...phase, skipsNext: false };
        return;
      }
      const { clientInit, serverInit, key } = phase;
      const reader = createWireReader(payload);
      reader.skip(1);
      const [hostKey, serverPublic, signature] = [reader.string(), reader.string(), reader.string()];
      needs.checkHostKey(hostKey);
      const secret = sharedSecret(key, serverPublic);
      const clientPublic = key.publicBytes;
      const said = { clientIdent: ident, serverIdent, clientInit, serverInit };
      const hash = exchangeHash({ ...said, hostKey, clientPublic, serverPublic, secret });
      assertHostSignature(hostKey, signature, hash);
      sessionId ??= hash;
      const { toServer, toClient } = deriveKeys(secret, hash, sessionId);
      needs.send(message(msg.newKeys));
      needs.onSendKey(toServer);
      phase = { kind: 'new-keys', toClient };
    },
    onNewKeys(payload): void {
      if (phase.kind !== 'new-keys') throw unexpected(payload, phase.kind);
      const { toClient } = phase;
      phase = { kind: 'secure' };
      needs.onReceiveKey(toClient);
    },
    onIdle(payload): void {
      // Slipped in before the keys they would shift what both sides count (the Terrapin attack).
      if (strict && phase.kind !== 'secure') throw unexpected(payload, phase.kind);
      hasIdled = true;
    },
    phase: () => phase.kind,
  };
}

export function unexpected(payload: Buffer, phase: string): AgentError {
  return new AgentError('protocol-violation', `read ssh message: number ${payload[0] ?? 0} during ${phase}`);
}
