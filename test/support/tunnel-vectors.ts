// The recorded session between a client and a real chisel server, with the rules of its keys and credentials.

import { readFileSync } from 'node:fs';

export interface RecordedMessage {
  readonly dir: 'client-to-server' | 'server-to-client';
  readonly wsMessageHex: string;
  /** Of the client's messages. */
  readonly payloadHex?: string;
}

export interface TunnelVectors {
  readonly edgeCredentials: {
    readonly valid: readonly {
      readonly edgeId: string;
      readonly encodedBase64NoPadding: string;
      readonly username: string;
      readonly password: string;
    }[];
    readonly invalid: readonly {
      readonly name: string;
      readonly edgeId: string;
      readonly encodedBase64NoPadding: string;
    }[];
  };
  readonly chisel: {
    readonly hostKey: { readonly privateKeySec1Pem: string; readonly publicKeyBlobHex: string };
    readonly fingerprintSha256Base64: string;
    readonly fingerprintMd5Colon: string;
    readonly fingerprintMd5PrefixAccepted: string;
    readonly fingerprintRule: readonly { readonly expected: string; readonly accepted: boolean }[];
    readonly configJson: string;
    readonly pingRequestPayloadHex: string;
    readonly pongReplyPayloadHex: string;
  };
  readonly sshTranscript: {
    readonly username: string;
    readonly password: string;
    readonly clientEphemeralX25519PrivateHex: string;
    readonly V_C: string;
    readonly messages: readonly RecordedMessage[];
  };
}

// The file is part of the repository, so its shape is a fact and not input.
export const tunnelVectors: TunnelVectors = JSON.parse(
  readFileSync(new URL('../data/tunnel-vectors.json', import.meta.url), 'utf8'),
) as TunnelVectors;
