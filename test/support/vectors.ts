// The recorded exchanges of the Portainer agent that the conformance tests are held to, with their types.

import { readFileSync } from 'node:fs';

export interface RecordedKey {
  readonly privateKeySec1Pem: string;
  readonly privateKeyPkcs8Pem: string;
  readonly publicKeyHex: string;
}

export interface ErrorBody {
  readonly message: string;
  readonly details: string;
}

export interface ValidSignature {
  readonly name: string;
  readonly agentSecret: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface InvalidSignature extends ValidSignature {
  readonly status: number;
  readonly body?: ErrorBody;
  readonly messageOnly?: string;
}

export interface AssociationStep {
  readonly headersOf?: string;
  readonly name?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  readonly message?: string;
}

export interface PathRewrite {
  readonly in: string;
  readonly router: string;
  readonly routerPath: string;
}

export interface RecordedError {
  readonly status: number;
  readonly body: ErrorBody;
}

export interface Aggregation {
  readonly request: string;
  readonly members: Readonly<Record<string, { readonly status: number; readonly body: unknown } | string>>;
  readonly result: {
    readonly status: number;
    readonly contentType: string;
    readonly body?: unknown;
    readonly bodyAnyOrder?: readonly unknown[];
  };
}

export interface Vectors {
  readonly signature: {
    readonly keyA: RecordedKey;
    readonly keyB: RecordedKey;
    readonly secret: string;
    readonly valid: readonly ValidSignature[];
    readonly invalid: readonly InvalidSignature[];
    readonly association: { readonly steps: readonly AssociationStep[] };
    readonly otherCurve: { readonly publicKeyHex: string; readonly signatureBase64NoPadding: string };
  };
  readonly pathRewrite: readonly PathRewrite[];
  readonly errors: Readonly<Record<string, RecordedError>>;
  readonly aggregation: readonly Aggregation[];
}

// The file is part of the repository, so its shape is a fact and not input.
export const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../data/vectors.json', import.meta.url), 'utf8'),
) as Vectors;
